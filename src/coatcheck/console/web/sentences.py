"""What the console says where it cannot show a page."""

from __future__ import annotations

from typing import Final

NOT_YET: Final = (
    "Until an operator has signed in, the console is for the gateway's own machine. Open the link there that "
    "the gateway printed, or run `coatcheck login` with its code."
)
NOWHERE: Final = "The address may be mistyped, or what it led to is gone."
DEFECT: Final = "This is a defect of Coatcheck. Where it happened is in the gateway's log."
SIGNED_OUT: Final = "Sign in again, then send the form once more."
DONE_ALREADY: Final = (
    "The same form was sent before, as browsers do when its answer is reloaded, and nothing was made again. "
    "What was made then was shown once, and cannot be shown again."
)
OLD_FORM: Final = (
    "It was opened before you signed in, or cookies are turned off. "
    "Open the page again, and send it from there."
)
FOREIGN: Final = "Forms are taken from the console's own pages only; programs use the API."
LED_HERE: Final = "Files are sent to who asks for them on the console's own pages, not by links elsewhere."
FILE_LEFT: Final = "The file was not sent: ask for it once more, on its own page."
ASK_THERE: Final = "Open the console, and ask for the file there."
FOR_DEVELOPERS: Final = "Sign out, and open it with a grant or a claim link."
FOR_OPERATORS: Final = "You are signed in with a grant, and see your own grants, clients and calls."
ASK: Final = "An admin can give you another role: Settings, Operators."
