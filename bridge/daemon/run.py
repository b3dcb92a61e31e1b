"""The daemon's life: take the spool, bring it in order, serve until told to stop.

What ends one of its threads ends the daemon: a process that lives while nothing flows is worse than
one that a supervisor starts anew.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from queue import Empty, SimpleQueue
from random import Random
from typing import Literal

from bridge.config import Config
from bridge.config.licensekeys import ONLINE_KEY, LicenseKeys
from bridge.daemon.admin import AdminServer
from bridge.daemon.certwatch import CertificateWatch, tls_for
from bridge.daemon.counting import IntakeTeller
from bridge.daemon.courier import Courier
from bridge.daemon.housekeeping import Housekeeping
from bridge.daemon.inbox import Inbox
from bridge.daemon.licensing import Licensing
from bridge.daemon.looking import look_at
from bridge.daemon.outbox import Outbox
from bridge.daemon.reloading import Reloading, Sources
from bridge.daemon.retaining import Retaining, retaining_for
from bridge.daemon.roomwatch import RoomWatch, room_watch_for
from bridge.daemon.sending import Outside, client_for, make_engine
from bridge.daemon.serving import pseudonym_of, start_intake
from bridge.daemon.silent import SilenceWatch
from bridge.daemon.supervision import STALLED_S, Supervision
from bridge.daemon.tokens import keeper_for
from bridge.egress.circuits import Stuck
from bridge.egress.client import BeaconClient
from bridge.egress.engine import Engine, Event
from bridge.egress.limits import Pace
from bridge.egress.watcher import HeadWatcher
from bridge.egress.windows import Window
from bridge.intake.room import Room
from bridge.intake.server import IntakeServer
from bridge.operate.logs import log
from bridge.operate.notify import ServiceManager
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import BridgeError
from keys.truststore import TRUST_NAME, TrustStore
from spool.asking import ask_and_wait
from spool.clock import MS, SYSTEM_CLOCK
from spool.durable import OS_DISK, explained, make_folders
from spool.egressfile import write_egress_state
from spool.filesystem import check_local
from spool.ledger import Ledger
from spool.sender_lock import SenderLock

KEEP_HOUSE_EVERY_S = 1.0
"""Seconds between two looks at ``open/``."""
STOP_S = 3.0
"""Seconds that requests in flight get when the daemon stops."""
_LEVELS = {
    "spool.gap": logging.ERROR,
    "spool.quarantined": logging.ERROR,
    "record.refused": logging.ERROR,
    "spool.dropped": logging.ERROR,
    "spool.filling": logging.ERROR,
    "spool.retention": logging.ERROR,
    "admin.listen": logging.WARNING,
    "admin.failed": logging.ERROR,
    "transfer.refused": logging.ERROR,
    "transfer.inbox": logging.ERROR,
    "egress.down": logging.WARNING,
    "egress.paused": logging.ERROR,
    "lane.failed": logging.ERROR,
    "house.failed": logging.ERROR,
    "intake.untold": logging.WARNING,
    "config.refused": logging.ERROR,
    "tls.refused": logging.ERROR,
    "tls.expiring": logging.WARNING,
    "tls.expired": logging.ERROR,
    "tls.untold": logging.WARNING,
    "intake.silent": logging.WARNING,
    "intake.unseen": logging.WARNING,
    "daemon.stalled": logging.CRITICAL,
    "daemon.broken": logging.CRITICAL,
    "notify.failed": logging.WARNING,
    "license.problem": logging.ERROR,
    "license.failed": logging.ERROR,
    "license.anchors_lost": logging.WARNING,
}


def tell(event: Event) -> None:
    """An event as a line of the log."""
    log(event.name, event.message, event.fields, level=_LEVELS.get(event.name, logging.INFO))


def _stop(engine: Engine, client: BeaconClient) -> None:
    """Stop sending; a request that a beacon does not answer is broken off, and repeated one day."""
    late = threading.Timer(STOP_S, client.abort)
    late.start()
    try:
        engine.stop()
    finally:
        late.cancel()


class Daemon:
    """Holds a spool from construction to :meth:`close`; a context manager.

    ``sources`` are read again by :meth:`reload`; None: never.

    Raises :class:`SpoolError` ``spool.locked`` where another daemon has it, ``disk.*`` or
    ``ledger.*``, or :class:`ConfigError`.
    """

    def __init__(
        self,
        config: Config,
        signer: SigningKey,
        licenses: LicenseKeys,
        sources: Sources | None = None,
    ) -> None:
        self._config = config
        self._signer = signer
        self._licenses = licenses
        self._spool = config.spool.path
        self._sources = sources
        # A signal handler that meets the lock of an event in its own thread would wait for ever.
        self._told: SimpleQueue[Literal["stop", "look"]] = SimpleQueue()
        self._certificate: CertificateWatch | None = None
        self._reloading: Reloading | None = None
        self._said_failed = ""
        with ExitStack() as held:
            try:
                if not config.spool.allow_network_fs:
                    check_local(self._spool)
                make_folders(OS_DISK, self._spool, self._spool)
                lock = SenderLock(
                    self._spool,
                    version=version("airgap-bridge"),
                    config=str(config.source),
                    now_ms=SYSTEM_CLOCK.wall_ms(),
                )
                held.callback(lock.release)
                self.house = Housekeeping(
                    self._spool, config.node, signer, disk=OS_DISK, clock=SYSTEM_CLOCK, tell=tell
                )
                self.house.begin()
            except OSError as error:
                raise explained(error, "bring the spool in order") from error
            self.ledger = held.enter_context(Ledger.open(self._spool, clock=SYSTEM_CLOCK))
            self._held = held.pop_all()

    def close(self) -> None:
        """Let go of the spool."""
        self._held.close()

    def stop(self) -> None:
        """Ask :meth:`serve` to end; callable from a signal handler."""
        self._told.put("stop")

    def reload(self) -> None:
        """Ask :meth:`serve` to read its configuration and the certificate again now.

        Callable from a signal handler.
        """
        if self._reloading is not None:
            self._reloading.ask()
        if self._certificate is not None:
            self._certificate.ask()
        self._told.put("look")

    def drain(self, pace: Pace | None = None) -> Stuck | None:
        """Seal what is open, send what is pending; None, or why something is left.

        Offline it only seals. ``pace`` None: as the configuration says. Raises :class:`SpoolError`.
        """
        try:
            lanes = [sealer.lane for sealer in self.house.sealers.values()]
            for path in ask_and_wait(lanes, self.house.look):
                tell(Event("spool.open", "A writer keeps a file open.", {"file": path.name}))
        except OSError as error:
            raise explained(error, "seal what is open") from error
        watch = room_watch_for(self._config)
        self._retaining(watch, watch.look).round()
        if self._config.egress.mode == "offline":
            return None
        with ExitStack() as held:
            client = self._client(held)
            engine = self._engine(client, pace)
            engine.start()
            held.callback(_stop, engine, client)
            return engine.drain()

    def serve(self) -> None:
        """Take, seal and send until :meth:`stop`.

        Raises what ended a thread, :class:`ConfigError` ``intake.listen`` or ``tls.*``, or
        :class:`SpoolError`.
        """
        tls = tls_for(self._config, SYSTEM_CLOCK)
        with ExitStack() as held:
            engine = watcher = client = None
            if self._config.egress.mode == "offline":
                self._say_offline()
            else:
                client = self._client(held)
                engine = self._engine(client)
                engine.start()
                held.callback(_stop, engine, client)
                watcher = HeadWatcher(engine.wake)
                watcher.start()
                held.callback(watcher.stop)
            self._serve_admin(held)
            courier = self._courier(engine, held)
            licensing = self._licensing(client, held)
            after_intake = held.enter_context(ExitStack())
            context = None if tls is None else tls.context
            serving = start_intake(
                self._config,
                self._signer,
                self._licenses,
                held,
                client,
                tls=context,
                answering=licensing.answering,
            )
            intake = serving.server
            if tls is not None:
                self._certificate = CertificateWatch(
                    tls, self._spool, disk=OS_DISK, clock=SYSTEM_CLOCK, tell=tell
                )
            if self._sources is not None:
                self._reloading = Reloading(
                    self._sources, self._config, self._licenses, serving, tls, tell
                )
            retaining = self._retaining(serving.room, serving.room.now)
            retaining.start()
            held.callback(retaining.stop)
            teller = IntakeTeller(
                self._spool, intake.counts, disk=OS_DISK, clock=SYSTEM_CLOCK, tell=tell
            )
            after_intake.callback(teller.close)
            supervision = self._supervision(intake, engine)
            looks: list[Callable[[], object]] = [
                teller.look,
                supervision.look,
                self._silence().look,
            ]
            if self._certificate is not None:
                looks.append(self._certificate.look)
            held.callback(supervision.stopping)
            tell(Event("daemon.ready", "The bridge takes records.", {"node": self._config.node}))
            supervision.ready()
            while not self._told_to_stop():
                self._keep_house()
                self._take_up(engine)
                for look in looks:
                    look()
                if watcher is not None:
                    # Each time: a folder that was made anew has to be followed anew.
                    for sealer in self.house.sealers.values():
                        watcher.follow(sealer.lane.folder)
                broken = (
                    intake.broken
                    or retaining.broken
                    or licensing.broken
                    or courier.broken
                    or (None if engine is None else engine.broken)
                )
                if broken is not None:
                    message = "A part of the bridge has failed; the bridge stops."
                    tell(Event("daemon.broken", message, {"error": type(broken).__name__}))
                    raise broken
        tell(Event("daemon.stopped", "The bridge has stopped; everything taken is on disk."))

    def _told_to_stop(self) -> bool:
        """Whether somebody said so: when there is news, or after a while."""
        try:
            return self._told.get(timeout=KEEP_HOUSE_EVERY_S) == "stop"
        except Empty:
            return False

    def _take_up(self, engine: Engine | None) -> None:
        if self._reloading is not None and self._reloading.look():
            self._licenses = self._reloading.licenses
            if engine is not None:
                engine.wake()

    def _keep_house(self) -> None:
        self.ledger.check_in_place()  # what is written to one that nobody sees is lost
        try:
            self.house.look()
            self._said_failed = ""
        except (OSError, BridgeError) as error:
            problem = (
                explained(error, "look after open files") if isinstance(error, OSError) else error
            )
            if problem.message != self._said_failed:
                self._said_failed = problem.message
                tell(Event("house.failed", problem.message))

    def _retaining(self, watch: RoomWatch, room: Callable[[], Room]) -> Retaining:
        return retaining_for(
            self._config,
            self._signer,
            self.ledger,
            room,
            watch.freed,
            disk=OS_DISK,
            clock=SYSTEM_CLOCK,
            tell=tell,
        )

    def _licensing(self, client: BeaconClient | None, held: ExitStack) -> Licensing:
        config = self._config
        licensing = Licensing(
            keeper_for(config, self._signer),
            config.node,
            lambda: self._licenses,
            client,
            disk=OS_DISK,
            clock=SYSTEM_CLOCK,
            random=Random(),  # noqa: S311 - jitter, not a secret
            tell=tell,
        )
        licensing.start()
        held.callback(licensing.stop)
        return licensing

    def _supervision(self, intake: IntakeServer, engine: Engine | None) -> Supervision:
        step_s = self._config.egress.deadline / MS + STALLED_S

        def stalled() -> str | None:
            if intake.stalled(STALLED_S):
                return "intake"
            return "egress" if engine is not None and engine.stalled(STALLED_S, step_s) else None

        return Supervision(
            ServiceManager.of(os.environ, os.getpid()),
            self._spool,
            stalled=stalled,
            counts=self.ledger.counts,
            clock=SYSTEM_CLOCK,
            tell=tell,
        )

    def _serve_admin(self, held: ExitStack) -> None:
        host, port = self._config.admin.listen
        try:
            admin = AdminServer(
                host, port, lambda: look_at(self._config, self._licenses, self.ledger), tell
            )
        except OSError as error:
            message = (
                f"There are no metrics: {host}:{port} cannot be listened on ({error.strerror})."
            )
            tell(Event("admin.listen", message))
            return
        held.callback(admin.close)

    def _keys_of(self, node: str) -> Mapping[str, PublicKey]:
        """Whose seals count in the lanes of another node; read each time, so that trust may change."""
        if node == self._config.node:
            return {}
        trust = TrustStore.load(self._config.keys.path / TRUST_NAME)
        return {key.public.id: key.public for key in trust.named("node", node)}

    def _courier(self, engine: Engine | None, held: ExitStack) -> Courier:
        courier = Courier(lambda: None if engine is None else engine.wake())
        given = (self._config, self._signer, self.ledger, SYSTEM_CLOCK, tell)
        inbox = Inbox(*given, licenses=lambda: self._licenses, moved=courier.moved)
        courier.start(inbox.look, Outbox(*given, courier.moved).look)
        held.callback(courier.stop)
        return courier

    def _silence(self) -> SilenceWatch:
        key = self._licenses.to_send(self._config.node)
        return SilenceWatch(
            self._spool,
            self._config.node,
            online_key=None if key is None else key.startswith(ONLINE_KEY),
            clock=SYSTEM_CLOCK,
            tell=tell,
        )

    def _say_offline(self) -> None:
        """One line, and no socket."""
        try:
            write_egress_state(OS_DISK, self._spool, "offline", SYSTEM_CLOCK.wall_ms())
        except OSError as error:
            raise explained(error, "say that egress is offline") from error
        tell(Event("egress.offline", "Egress is offline; records are sealed and kept."))

    def _client(self, held: ExitStack) -> BeaconClient:
        client = client_for(self._config, pseudonym_of(self._signer.public))
        held.callback(client.close)
        return client

    def _engine(self, client: BeaconClient, pace: Pace | None = None) -> Engine:
        config = self._config

        def license_of(node: str) -> str | None:
            return self._licenses.to_send(node)  # those of now: they may be exchanged

        outside = Outside(
            client,
            license_of,
            config.egress.max_request,
            lambda node: self._licenses.data_plane_auth if node == config.node else None,
            pace or Pace(config.egress.rate),
            tuple(map(Window.parse, config.egress.windows)),
            self._keys_of,
        )
        return make_engine(
            self._spool,
            self._signer,
            self.ledger,
            outside,
            disk=OS_DISK,
            clock=SYSTEM_CLOCK,
            random=Random(),  # noqa: S311 - jitter, not a secret
            tell=tell,
        )
