"""What the daemon's main thread does on each beat: it looks around for all.

In a calm it only glances: a few file times, the disk's room, a few moments. It looks around where these
are otherwise than at its last look, and once in a while in any case. What it finds ends the calm; but
where only the disk has another room, which others fill all day, no more than the room is looked at.
"""

from collections.abc import Callable, Iterable

from bridge.daemon.calm import Calm
from bridge.daemon.glancing import Glance


class Rounds:
    """For one daemon, one thread.

    ``always`` is called on each beat, ``looks`` at each look around. In a calm one begins where a
    function of ``events`` says that something happened, or one of ``dues`` that it is time;
    ``looks_at_room`` are all that is called where the disk has another room. ``is_at_rest`` says
    whether longer beats would have nobody wait.
    """

    def __init__(
        self,
        calm: Calm,
        glance: Glance,
        *,
        always: Iterable[Callable[[], None]],
        looks: Iterable[Callable[[], object]],
        looks_at_room: Iterable[Callable[[], object]],
        events: Iterable[Callable[[], bool]],
        dues: Iterable[Callable[[], bool]],
        is_at_rest: Callable[[], bool],
    ) -> None:
        self._calm = calm
        self._glance = glance
        self._always = tuple(always)
        self._looks_at_room = tuple(looks_at_room)
        self._looks = (*looks, *self._looks_at_room)
        self._events = (glance.finds_change, *events)
        self._dues = (glance.is_due, *dues)
        self._is_at_rest = is_at_rest

    def beat(self) -> None:
        """One beat. Raises what a look raises."""
        for each in self._always:
            each()
        if self._calm.reigns:
            if any(happened() for happened in self._events):
                self._calm.end()
            elif not any(is_due() for is_due in self._dues):
                if self._glance.finds_other_room():
                    for look in self._looks_at_room:
                        look()
                return
        self._glance.note()
        for look in self._looks:
            look()
        self._calm.settle(at_rest=self._is_at_rest())
