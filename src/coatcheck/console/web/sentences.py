"""What the console says where it cannot show a page."""

from __future__ import annotations

from typing import Final

NOT_YET: Final = (
    "Until an operator has signed in, the console is for the gateway's own machine. Open the link there that "
    "the gateway printed, or run `coatcheck login` with its code."
)
NOT_PLAIN: Final = (
    "The console is not served to other machines over plain http: whoever listens could take over a session. "
    "Put a TLS proxy in front, and give the gateway its address as public_url."
)
NOWHERE: Final = "The address may be mistyped, or what it led to is gone."
DEFECT: Final = "This is a defect of Coatcheck. Where it happened is in the gateway's log."
SIGNED_OUT: Final = "Sign in again, then send the form once more."
OLD_FORM: Final = (
    "It was opened before you signed in, or cookies are turned off. "
    "Open the page again, and send it from there."
)
FOREIGN: Final = "Forms are taken from the console's own pages only; programs use the API."
FOR_DEVELOPERS: Final = "Sign out, and open it with a grant or a claim link."
FOR_OPERATORS: Final = "You are signed in with a grant, and see your own grants, clients and calls."
ASK: Final = "An admin can give you another role: Settings, Operators."
