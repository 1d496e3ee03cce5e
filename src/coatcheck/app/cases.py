"""All use cases of a gateway put together, for the surfaces that people and programs reach them by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.app.keeping.copying import backup_of
from coatcheck.app.readings import replays_of
from coatcheck.declared.pasted.reading import read_pasted
from coatcheck.declared.policies.typed import read_typed
from coatcheck.identity.throttle import Throttle
from coatcheck.model.browser import Whose
from coatcheck.operations.accepting import Accepting
from coatcheck.operations.access.matrix import AccessMatrix
from coatcheck.operations.access.narrowing import Narrowing
from coatcheck.operations.access.telling import AccessTelling
from coatcheck.operations.calling.operators import OperatorCalls
from coatcheck.operations.own import OwnViews
from coatcheck.operations.people.listing import PeopleLists
from coatcheck.operations.people.offboarding import Offboarding
from coatcheck.operations.policies.replay_runs import ReplayRuns
from coatcheck.operations.policies.suggesting import Suggestions
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.granting.attention import GrantsAttention
from coatcheck.operations.registry.serving.listing import ServerLists
from coatcheck.operations.registry.serving.trials import Trials
from coatcheck.operations.settings import SettingView
from coatcheck.operations.use_cases import UseCases
from coatcheck.ports import Clock, Entropy

if TYPE_CHECKING:
    from coatcheck.app.compose import Gateway


def cases_of(gateway: Gateway, clock: Clock, entropy: Entropy) -> UseCases:
    """Return the use cases over the parts of a gateway."""
    matrix = AccessMatrix(gateway.registered.desk, gateway.registered.subjects, gateway.views)
    replays = replays_of(gateway.registered.desk, gateway.views, gateway.readings, gateway.recording)
    return UseCases(
        directory=gateway.directory,
        views=gateway.views,
        calls=OperatorCalls(gateway.directory, gateway.calls),
        ledger=gateway.ledger,
        values=gateway.recording.values,
        grants=gateway.registered.grants,
        attention=GrantsAttention(gateway.registered.desk),
        own=OwnViews(gateway.registered.grants, gateway.ledger),
        subjects=gateway.registered.subjects,
        people=PeopleLists(gateway.registered.desk, gateway.registered.subjects),
        offboarding=Offboarding(
            gateway.registered.desk,
            gateway.registered.subjects,
            lambda name: len(gateway.consoling.sessions.list(Whose.SUBJECT, name)),
        ),
        servers=gateway.registered.servers,
        server_lists=ServerLists(
            gateway.registered.servers, gateway.views, gateway.reviewing, gateway.cloakroom.credentials
        ),
        trials=Trials(gateway.registered.desk, gateway.registered.servers, gateway.servers),
        read_pasted=read_pasted,
        credentials=gateway.cloakroom.credentials,
        credential_lists=gateway.cloakroom.lists,
        runs=gateway.cloakroom.runs,
        rotations=gateway.cloakroom.rotations,
        hasty=gateway.cloakroom.hasty,
        key=gateway.registered.key,
        operators=gateway.registered.operators,
        policies=gateway.registered.policies,
        read_policy=read_typed,
        policy_uses=gateway.registered.policy_uses,
        access=gateway.registered.access,
        matrix=matrix,
        telling=AccessTelling(gateway.registered.desk, gateway.registered.subjects, matrix, gateway.views),
        narrowing=Narrowing(
            gateway.registered.desk, gateway.registered.grants, gateway.readings.activity, clock
        ),
        explaining=gateway.registered.explaining,
        replays=replays,
        replay_runs=ReplayRuns(gateway.registered.desk, replays),
        suggestions=Suggestions(gateway.registered.desk, gateway.views, gateway.ledger.list),
        reviewing=gateway.reviewing,
        changes=gateway.store.list_changes,
        exports=gateway.readings.exports,
        retention=gateway.readings.retention,
        evidence=gateway.readings.evidence,
        entries=gateway.readings.entries,
        readers=gateway.readings.readers,
        activity=gateway.readings.activity,
        radii=gateway.readings.radii,
        checkpoint=gateway.checkpointing.now,
        accepting=Accepting(gateway.checkpointing, Scribe(clock, entropy)),
        sinks=gateway.sinks,
        backup=lambda: backup_of(gateway.config, clock),
        overview=gateway.overview,
        settings=lambda: [
            SettingView(one.name, one.value, one.source, one.unit, one.about)
            for one in gateway.config.describe()
        ],
        connecting=gateway.oauth.connecting,
        origin=gateway.origin,
        spend=Throttle(clock).spend,
        clock=clock,
        tally=gateway.tally,
    )
