"""Makes the parts of a daemon, each from what it needs; what is started here ends with ``held``."""

import os
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from random import Random

from bridge.config import Config
from bridge.config.licensekeys import ONLINE_KEY, LicenseKeys
from bridge.daemon.admin import AdminServer
from bridge.daemon.calm import Calm
from bridge.daemon.courier import Courier
from bridge.daemon.inbox import Inbox
from bridge.daemon.licensing import Licensing
from bridge.daemon.looking import look_at, relays
from bridge.daemon.outbox import Outbox
from bridge.daemon.retaining import Retaining, retaining_for
from bridge.daemon.roomwatch import RoomWatch
from bridge.daemon.sending import Outside, client_for, make_engine
from bridge.daemon.serving import pseudonym_of
from bridge.daemon.silent import SilenceWatch
from bridge.daemon.stalls import LATE_S, MAIN, Stalls
from bridge.daemon.supervision import STALLED_S, Supervision
from bridge.daemon.telling import tell
from bridge.daemon.tokens import keeper_for
from bridge.egress.client import BeaconClient
from bridge.egress.engine import Engine
from bridge.egress.event import Event
from bridge.egress.limits import Pace
from bridge.egress.watcher import HeadWatcher
from bridge.egress.windows import Window
from bridge.intake.room import Room
from bridge.intake.server import IntakeServer
from bridge.operate.notify import ServiceManager
from keys.ed25519 import PublicKey, SigningKey
from keys.truststore import TRUST_NAME, TrustStore
from spool.clock import MS, Clock
from spool.durable import OS_DISK
from spool.lane import Lane
from spool.ledger import Ledger
from spool.pruning import waits
from spool.usage import Usage

STOP_S = 3.0
"""Seconds that requests in flight get when the daemon stops."""


class Parts:
    """The parts of one daemon.

    ``licenses`` gives the license keys of now, ``off`` the streams that are switched off: both change.
    What they find ends a ``calm``, in which they look around less often.
    """

    def __init__(
        self,
        config: Config,
        signer: SigningKey,
        ledger: Ledger,
        licenses: Callable[[], LicenseKeys],
        clock: Clock,
        off: Callable[[], Collection[str]] = frozenset,
        *,
        calm: Calm | None = None,
    ) -> None:
        self._config = config
        self._signer = signer
        self._ledger = ledger
        self._licenses = licenses
        self._clock = clock
        self._off = off
        self._calm = calm or Calm()

    def client(self, held: ExitStack) -> BeaconClient:
        """What talks to the beacon. Raises :class:`ConfigError` ``config.ca_file``."""
        client = client_for(self._config, pseudonym_of(self._signer.public))
        held.callback(client.close)
        return client

    def engine(self, client: BeaconClient, held: ExitStack, pace: Pace | None = None) -> Engine:
        """What sends, started; ``pace`` None: as the configuration says."""
        config = self._config
        outside = Outside(
            client,
            lambda node: self._licenses().to_send(node),
            config.egress.max_request,
            lambda node: self._licenses().data_plane_auth if node == config.node else None,
            pace or Pace(config.egress.rate),
            tuple(map(Window.parse, config.egress.windows)),
            self._keys_of,
        )
        engine = make_engine(
            config.spool.path,
            self._signer,
            self._ledger,
            outside,
            disk=OS_DISK,
            clock=self._clock,
            random=Random(),  # noqa: S311 - jitter, not a secret
            tell=tell,
            held=self._is_held,
            quiet_s=self._calm.quiet_s,
            ended=self._calm.stir,
        )
        engine.start()
        self._calm.wakes(engine.turn_soon)
        held.callback(_stop, engine, client)
        return engine

    def _is_held(self, lane: Lane) -> bool:
        """Whether what waits in ``lane`` is switched off: it is given up, not sent."""
        own = lane.node == self._config.node and not lane.fork
        return own and lane.stream in self._off() and waits(self._ledger, lane)

    def watcher(self, engine: Engine, held: ExitStack) -> HeadWatcher:
        """What wakes ``engine`` when a head moves, started."""

        def wake() -> None:
            engine.wake()
            self._calm.stir()

        watcher = HeadWatcher(wake)
        watcher.start()
        held.callback(watcher.stop)
        return watcher

    def retaining(self, watch: RoomWatch, room: Callable[[], Room]) -> Retaining:
        """What makes room."""
        return retaining_for(
            self._config,
            self._signer,
            self._ledger,
            room,
            watch.freed,
            disk=OS_DISK,
            clock=self._clock,
            tell=tell,
            off=self._off,
            calm=self._calm,
        )

    def licensing(self, client: BeaconClient | None, held: ExitStack) -> Licensing:
        """What keeps the license token fresh, started."""
        licensing = Licensing(
            keeper_for(self._config, self._signer),
            self._config.node,
            self._licenses,
            client,
            disk=OS_DISK,
            clock=self._clock,
            random=Random(),  # noqa: S311 - jitter, not a secret
            tell=tell,
            calm=self._calm,
        )
        licensing.start()
        held.callback(licensing.stop)
        return licensing

    def supervision(
        self, intake: IntakeServer, engine: Engine | None, stalls: Stalls
    ) -> Supervision:
        """What tells the service manager, and looks whether intake and egress live."""
        step_s = self._config.egress.deadline / MS + STALLED_S

        def stalled() -> str | None:
            if intake.stalled(LATE_S):
                return "intake"
            return "egress" if engine is not None and engine.stalled(LATE_S, step_s) else None

        return Supervision(
            ServiceManager.of(os.environ, os.getpid()),
            self._config.spool.path,
            stalled=stalled,
            stalls=stalls,
            counts=self._ledger.counts,
            clock=self._clock,
            tell=tell,
        )

    def admin(
        self, held: ExitStack, stalls: Stalls, in_force: Callable[[], Config]
    ) -> AdminServer | None:
        """What serves metrics; where the address is taken there are none, and the log says so.

        ``in_force`` gives the configuration of now.
        """
        host, port = self._config.admin.listen
        usage = Usage()
        try:
            admin = AdminServer(
                host,
                port,
                lambda: look_at(in_force(), self._licenses(), self._ledger, usage),
                tell,
                hangs=lambda: stalls.part == MAIN,
                ended=self._calm.stir,
            )
        except OSError as error:
            message = (
                f"There are no metrics: {host}:{port} cannot be listened on ({error.strerror})."
            )
            tell(Event("admin.listen", message))
            return None
        held.callback(admin.close)
        return admin

    def courier(self, engine: Engine | None, held: ExitStack) -> Courier:
        """What looks after inbox and outbox, started."""

        def news() -> None:
            self._calm.stir()
            if engine is not None:
                engine.wake()

        courier = Courier(news, self._calm)
        given = (self._config, self._signer, self._ledger)
        looks = []
        if self._config.transfer.inbox is not None:
            inbox = Inbox(
                *given,
                self._clock,
                tell,
                licenses=self._licenses,
                moved=courier.moved,
                seen=self._calm.stir,
            )
            looks.append(inbox.look)
        if self._config.transfer.outbox is not None:
            looks.append(Outbox(*given, self._clock, tell, courier.moved).look)
        courier.start(*looks)
        held.callback(courier.stop)
        return courier

    def silence(self) -> SilenceWatch:
        """What says that nothing comes in any more."""
        key = self._licenses().to_send(self._config.node)
        return SilenceWatch(
            self._config.spool.path,
            self._config.node,
            online_key=None if key is None else key.startswith(ONLINE_KEY),
            relays=lambda: relays(self._config),
            clock=self._clock,
            tell=tell,
        )

    def _keys_of(self, node: str) -> Mapping[str, PublicKey]:
        """Whose seals count in the lanes of another node; read each time, so that trust may change."""
        if node == self._config.node:
            return {}
        trust = TrustStore.load(self._config.keys.path / TRUST_NAME)
        return {key.public.id: key.public for key in trust.named("node", node)}


def _stop(engine: Engine, client: BeaconClient) -> None:
    """Stop sending; a request that a beacon does not answer is broken off, and repeated one day."""
    late = threading.Timer(STOP_S, client.abort)
    late.start()
    try:
        engine.stop()
    finally:
        late.cancel()
