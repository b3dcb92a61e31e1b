"""The daemon's life: take the spool, bring it in order, serve until told to stop.

What ends one of its threads ends the daemon: a process that lives while nothing flows is worse than
one that a supervisor starts anew.
"""

from contextlib import ExitStack
from importlib.metadata import version
from queue import Empty, SimpleQueue
from typing import Literal

from bridge.config import Config
from bridge.config.licensekeys import LicenseKeys
from bridge.daemon.ballasting import with_room
from bridge.daemon.calm import Calm
from bridge.daemon.certwatch import CertificateWatch, tls_for
from bridge.daemon.counting import IntakeTeller
from bridge.daemon.housekeeping import Housekeeping
from bridge.daemon.keeping import Keeping
from bridge.daemon.parts import Parts
from bridge.daemon.rebuilt import tell_rebuilt
from bridge.daemon.reloading import Reloading, Sources
from bridge.daemon.roomwatch import room_watch_for
from bridge.daemon.rounds import Rounds
from bridge.daemon.running import Running
from bridge.daemon.serving import start_intake
from bridge.daemon.stalls import Stalls
from bridge.daemon.telling import tell
from bridge.egress.circuits import Stuck
from bridge.egress.engine import Engine
from bridge.egress.event import Event
from bridge.egress.limits import Pace
from bridge.intake.switches import switched_off
from keys.ed25519 import SigningKey
from spool.asking import ask_and_wait
from spool.ballast import Ballast
from spool.beat import Pulse, until_beat
from spool.clock import SYSTEM_CLOCK, Clock
from spool.durable import OS_DISK, explained, make_folders
from spool.egressfile import write_egress_state
from spool.filesystem import check_local
from spool.ledger import Ledger
from spool.owner import check_owner
from spool.sender_lock import SenderLock


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
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._clock = clock
        self._config = config
        self._signer = signer
        self._licenses = licenses
        self._spool = config.spool.path
        self._sources = sources
        self._ballast = Ballast(OS_DISK, self._spool, config.spool.ballast)
        # A signal handler that meets the lock of an event in its own thread would wait for ever.
        self._told: SimpleQueue[Literal["stop", "reload", "look"]] = SimpleQueue()
        self._stops = False
        self.calm = Calm(lambda: self._told.put("look"), clock.monotonic)
        self._pulse = Pulse(clock.monotonic)
        self._certificate: CertificateWatch | None = None
        self._reloading: Reloading | None = None
        try:
            if not config.spool.allow_network_fs:
                check_local(self._spool)
            check_owner(self._spool)
            make_folders(OS_DISK, self._spool, self._spool)
            self._held = with_room(self._ballast, self._take, clock, tell)
        except OSError as error:
            raise explained(error, "bring the spool in order") from error

    def _take(self) -> ExitStack:
        """Take the spool, and bring it in order; what is held lets go of it."""
        config, signer = self._config, self._signer
        with ExitStack() as held:
            lock = SenderLock(
                self._spool,
                version=version("airgap-bridge"),
                config=str(config.source),
                now_ms=self._clock.wall_ms(),
            )
            held.callback(lock.release)
            self.ledger = held.enter_context(Ledger.open(self._spool, clock=self._clock))
            self.house = Housekeeping(
                self._spool,
                config.node,
                signer,
                disk=OS_DISK,
                clock=self._clock,
                tell=tell,
                is_over=lambda: self._stops,
            )
            self.house.begin(self.ledger)
            tell_rebuilt(self._spool, OS_DISK, tell)
            # The license keys of now: they may be exchanged.
            self._parts = Parts(
                config,
                signer,
                self.ledger,
                lambda: self._licenses,
                self._clock,
                self._switched_off,
                calm=self.calm,
            )
            return held.pop_all()

    def close(self) -> None:
        """Let go of the spool."""
        self._held.close()

    def stop(self) -> None:
        """Ask :meth:`serve` to end; callable from a signal handler."""
        self._stops = True
        self._told.put("stop")

    def reload(self) -> None:
        """Ask :meth:`serve` to read its configuration and the certificate again now.

        Callable from a signal handler.
        """
        # Told to :meth:`serve` alone: it may have begun to answer, and have nothing to reload yet.
        self._told.put("reload")

    def drain(self, pace: Pace | None = None, *, asked: bool = False) -> Stuck | None:
        """Seal what is open, send what is pending; None, or why something is left.

        Offline it only seals. ``pace`` None: as the configuration says. ``asked``: a person wants it
        sent now, by :meth:`Engine.release`. Raises :class:`SpoolError`.
        """
        try:
            lanes = [sealer.lane for sealer in self.house.sealers.values()]
            for path in ask_and_wait(lanes, self.house.look):
                tell(Event("spool.open", "A writer keeps a file open.", {"file": path.name}))
        except OSError as error:
            raise explained(error, "seal what is open") from error
        watch = room_watch_for(self._config)
        self._parts.retaining(watch, watch.look).round()
        if self._config.egress.mode == "offline":
            return None
        with ExitStack() as held:
            engine = self._parts.engine(self._parts.client(held), held, pace)
            if asked:
                engine.release()
            return engine.drain()

    def serve(self) -> None:
        """Take, seal and send until :meth:`stop`.

        Raises what ended a thread, :class:`ConfigError` ``intake.listen`` or ``tls.*``, or
        :class:`SpoolError`.
        """
        parts = self._parts
        try:
            stalls = with_room(self._ballast, self._new_stalls, self._clock, tell)
        except OSError as error:
            raise explained(error, "take back that a part was stalled") from error
        tls = tls_for(self._config, self._clock)
        with ExitStack() as held:
            engine = watcher = client = None
            if self._config.egress.mode == "offline":
                self._say_offline()
            else:
                client = parts.client(held)
                engine = parts.engine(client, held)
                watcher = parts.watcher(engine, held)
            admin = parts.admin(held, stalls, self._in_force)
            courier = parts.courier(engine, held)
            licensing = parts.licensing(client, held)
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
                clock=self._clock,
                calm=self.calm,
                turned=stalls.look,
            )
            intake = serving.server
            if tls is not None:
                self._certificate = CertificateWatch(
                    tls, self._spool, disk=OS_DISK, clock=self._clock, tell=tell
                )
            if self._sources is not None:
                self._reloading = Reloading(
                    self._sources, self._config, self._licenses, serving, tls, tell
                )
            retaining = parts.retaining(serving.room, serving.room.now)
            retaining.start()
            held.callback(retaining.stop)
            teller = IntakeTeller(
                self._spool, intake.counts, disk=OS_DISK, clock=self._clock, tell=tell
            )
            after_intake.callback(teller.close)
            supervision = parts.supervision(intake, engine, stalls)
            running = Running(
                self.house,
                serving,
                retaining,
                licensing,
                courier,
                admin,
                engine,
                watcher,
                self._certificate,
            )
            # One thread looks for all of them; the others sleep until it has found something.
            rounds = Rounds(
                self.calm,
                running.glance(self._spool),
                always=[supervision.feed, running.check, licensing.glance_if_due],
                looks=[
                    Keeping(self.house, self.ledger, tell).look,
                    lambda: self._take_up(engine),
                    teller.look,
                    supervision.look,
                    parts.silence().look,
                    *running.looks(self._spool),
                ],
                looks_at_room=running.looks_at_room(),
                events=[teller.look],
                dues=running.dues(),
                is_at_rest=lambda: running.is_at_rest,
            )
            held.callback(supervision.stopping)
            tell(Event("daemon.ready", "The bridge takes records.", {"node": self._config.node}))
            supervision.ready()
            self._pulse.turn(self.calm.beat_s)
            stalls.watch_main()
            while not self._told_to_stop(supervision.within(self.calm.beat_s)):
                rounds.beat()
        tell(Event("daemon.stopped", "The bridge has stopped; everything taken is on disk."))

    def _in_force(self) -> Config:
        """The configuration of now: some of it may have been read again."""
        return self._config if self._reloading is None else self._reloading.config

    def _switched_off(self) -> frozenset[str]:
        return switched_off(self._in_force())

    def _told_to_stop(self, look_every_s: float) -> bool:
        """Whether somebody said so: when there is news, or when it is time to look around."""
        self._pulse.turn(look_every_s)
        try:
            told = self._told.get(timeout=until_beat(look_every_s))
        except Empty:
            return False
        finally:
            self._pulse.turn(look_every_s)  # it is awake: what comes now may take its time
        if told == "reload":
            self.calm.end()
            if self._reloading is not None:
                self._reloading.ask()
            if self._certificate is not None:
                self._certificate.ask()
        return told == "stop"

    def _take_up(self, engine: Engine | None) -> None:
        if self._reloading is not None and self._reloading.look():
            self._licenses = self._reloading.licenses
            if engine is not None:
                engine.wake()

    def _new_stalls(self) -> Stalls:
        return Stalls(self._spool, self._pulse, disk=OS_DISK, clock=self._clock, tell=tell)

    def _write_offline(self) -> None:
        write_egress_state(OS_DISK, self._spool, "offline", self._clock.wall_ms())

    def _say_offline(self) -> None:
        """One line, and no socket."""
        try:
            with_room(self._ballast, self._write_offline, self._clock, tell)
        except OSError as error:
            raise explained(error, "say that egress is offline") from error
        tell(Event("egress.offline", "Egress is offline; records are sealed and kept."))
