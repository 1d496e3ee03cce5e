"""However versions move, one is active at most, one staged, one previous, and what is over holds nothing."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.credentials import stages
from coatcheck.model.credential import MAX_VERSIONS, Assurance, Credential, CredentialVersion, Custody, Stage
from coatcheck.model.secret import Secret
from doubles.clock import START

EMPTY = Credential(UUID(int=1), "a", Custody.STORE, (), START, "root")


def staged(credential: Credential) -> Credential:
    if credential.at(Stage.STAGED) is not None:
        return credential
    number = stages.next_number(credential)
    version = CredentialVersion(number, Stage.STAGED, "0" * 16, START, "root", Secret(f"material-{number}"))
    return stages.with_staged(credential, version)


def activated(credential: Credential) -> Credential:
    if credential.at(Stage.STAGED) is None:
        return credential
    return stages.activated(credential, START + timedelta(hours=1), Assurance.PROVEN)


def rolled_back(credential: Credential) -> Credential:
    if credential.at(Stage.PREVIOUS) is None:
        return credential
    return stages.rolled_back(credential, START)


def discarded(credential: Credential) -> Credential:
    return stages.without(credential, Stage.STAGED, START)


def retired(credential: Credential) -> Credential:
    return stages.without(credential, Stage.PREVIOUS, START)


STEPS = st.lists(st.sampled_from([staged, activated, rolled_back, discarded, retired]), max_size=120)


@given(STEPS)
def test_any_order_of_steps(steps: list[object]) -> None:
    credential, was_active, highest = EMPTY, False, 0
    for step in steps:
        before, credential = credential, step(credential)  # type: ignore[operator]
        assert credential is before or credential.version == before.version + 1
        found = [one.stage for one in credential.versions]
        assert all(found.count(stage) <= 1 for stage in Stage if stage is not Stage.RETIRED)
        was_active = was_active or credential.active is not None
        assert was_active is (credential.active is not None), "never neither, once there was one"
        assert all((one.material is None) is (one.stage is Stage.RETIRED) for one in credential.versions)
        numbers = [one.number for one in credential.versions]
        assert numbers == sorted(set(numbers), reverse=True)
        highest = max([highest, *numbers])
        assert stages.next_number(credential) == highest + 1, "a number is never used again"
        assert len(numbers) <= MAX_VERSIONS


def test_the_oldest_are_forgotten() -> None:
    credential = EMPTY
    for _ in range(MAX_VERSIONS + 5):
        credential = activated(staged(credential))
    assert [one.number for one in credential.versions] == list(range(MAX_VERSIONS + 5, 5, -1))
    assert (credential.active or credential.versions[-1]).activated_at == START + timedelta(hours=1)
    assert stages.version_of(credential, 5) is None
