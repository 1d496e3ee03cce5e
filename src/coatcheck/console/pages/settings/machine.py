"""How the gateway is set up: sinks, the key, single sign-on, every setting, and what this is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from typing import Any, Final

from msgspec import Struct

from coatcheck import __version__
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Sent, Shown, done, saved, seen
from coatcheck.operations.permissions import Permission
from coatcheck.operations.settings import SettingView
from coatcheck.operations.signing_in.openid import CALLBACK
from coatcheck.operations.use_cases import UseCases

SINKS: Final = "/settings/sinks"
KEYS: Final = "/settings/keys"
_OF_SIGN_ON: Final = "oidc_"
_OF_SINKS: Final = "sinks."
_MIB: Final = 1024 * 1024


class RotateForm(Struct):
    """The file with the new key on the gateway's machine; empty: one is made."""

    path: str = ""


class MachinePages:
    """Serves them."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages. How it is set up is for those who may see who administers it."""
        setup, status = Permission.OPERATORS_READ, Permission.STATUS
        rotate = f"{KEYS}/rotate"
        return [
            seen(SINKS, status, self.sinks),
            done(f"{SINKS}/{{name}}/test", Permission.SINKS_TEST, self.test),
            seen(KEYS, Permission.KEY_READ, self.key),
            seen(rotate, Permission.KEY_ROTATE, self.ask_rotate, proven=True),
            done(
                rotate,
                Permission.KEY_ROTATE,
                self.rotate,
                RotateForm,
                again=self.ask_rotate,
                proven=True,
                once="/settings/keys",
            ),
            seen("/settings/sign-on", setup, self.sign_on),
            seen("/settings/configuration", setup, self.configuration),
            seen("/settings/about", status, self.about),
            saved("/settings/backup", Permission.BACKUP, self.backup),
        ]

    # --- sinks ---------------------------------------------------------------------------------------------

    async def sinks(self, asked: Asked[Nothing, Nothing]) -> Answer:  # noqa: ARG002 - the shape of a page
        """List the sinks: where copies of the record go."""
        options = self._cases.sinks.shown()
        values = {"sinks": [(one, options.get(one.name, {})) for one in self._cases.sinks.statuses()]}
        return Shown("settings/sinks.html", values)

    async def test(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Send a test entry through a sink."""
        name = asked.names["name"]
        why = await self._cases.sinks.test(name)
        if why:
            return Moved(SINKS, f"{name} did not take a test entry: {why}"[:500], "bad")
        return Moved(SINKS, f"{name} took a test entry.")

    # --- the key -------------------------------------------------------------------------------------------

    async def key(self, asked: Asked[Nothing, Nothing]) -> Answer:  # noqa: ARG002 - the shape of a page
        """Show which key the store is sealed with."""
        return Shown("settings/keys.html", {"key": self._cases.key.view()})

    async def ask_rotate(self, asked: Asked[Nothing, Any]) -> Shown:  # noqa: ARG002 - the shape of a page
        """Show what changing the key of the store does."""
        return Shown("settings/key_rotate.html", {"key": self._cases.key.view()})

    async def rotate(self, asked: Asked[Nothing, RotateForm]) -> Answer:
        """Change the key: seal everything in the store with another one."""
        made = await self._cases.key.rotate(asked.actor, asked.form.path.strip() or None)
        return Shown("settings/key_rotated.html", {"made": made})

    # --- the set-up ----------------------------------------------------------------------------------------

    async def sign_on(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show by which identity provider people sign in."""
        settings = [one for one in self._cases.settings() if one.name.startswith(_OF_SIGN_ON)]
        is_set = any(one.name == f"{_OF_SIGN_ON}issuer" and one.value for one in settings)
        values = {"settings": _worded(settings), "is_set": is_set, "callback": f"{asked.origin}{CALLBACK}"}
        return Shown("settings/sign_on.html", values)

    async def configuration(self, asked: Asked[Nothing, Nothing]) -> Answer:  # noqa: ARG002 - as above
        """Show every setting, and the servers file."""
        settings = self._cases.settings()
        plain = [one for one in settings if not one.name.startswith((_OF_SINKS, _OF_SIGN_ON))]
        values = {
            "set_here": _worded([one for one in plain if one.source != "default"]),
            "defaults": _worded([one for one in plain if one.source == "default"]),
            "file": self._cases.overview()["config"]["path"],
            "edit": self._cases.directory.edit,
        }
        return Shown("settings/configuration.html", values)

    async def about(self, asked: Asked[Nothing, Nothing]) -> Answer:  # noqa: ARG002 - as above
        """Show version, store and uptime of the gateway."""
        health = self._cases.overview()
        settings = {one.name: one for one in self._cases.settings()}
        values = {
            "release": __version__,
            "health": health,
            "started": datetime.fromisoformat(health["started_at"]),
            "data": settings["data"].value,
            "database": _database(settings),
            "servers": len(self._cases.directory.snapshot.servers),
            "licences": _licences(),
        }
        return Shown("settings/about.html", values)

    async def backup(self, asked: Asked[Nothing, Nothing]) -> Sent:  # noqa: ARG002 - as above
        """Send a copy of the store; secrets in it are sealed."""
        return Sent(await self._cases.backup(), "application/octet-stream", "coatcheck.backup.tar.gz")


def worded(setting: SettingView) -> str:
    """Return the value of a setting for people; the empty text where nothing is set."""
    value = setting.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if setting.unit == "seconds":
        return f"{value:g} s"
    if setting.unit == "bytes" and isinstance(value, int) and value % _MIB == 0:
        return f"{value // _MIB} MiB"
    return str(value)


def _worded(settings: Sequence[SettingView]) -> list[tuple[SettingView, str]]:
    return [(one, worded(one)) for one in settings]


def _database(settings: Mapping[str, SettingView]) -> str:
    shown = settings["database"].value
    return f"PostgreSQL, {shown}" if shown else "SQLite, in the data directory"


def _licences() -> str:
    """Return who made what we ship of others, with the licences."""
    file = resources.files("coatcheck.console") / "static" / "LICENSES.txt"
    return file.read_text(encoding="utf-8")
