"""Streams and events of a pretended CUDA whose work is put off for as long as the program allows.

A real device may do what is asked of a stream at once or much later. Here one side is always late, so that whoever
forgets to wait for it gets wrong numbers: with `late = "copies"` all streams but the current one do nothing before
somebody waits for them; with `late = "steps"` that is the current one, and the others are as early as they can be.
"""

from __future__ import annotations


class Mark:
    """A place in a queue."""

    def __init__(self, queue):
        self.queue, self.passed = queue, False


class Queue:
    """What is asked of a stream, in its order."""

    def __init__(self, cupy):
        self.cupy, self.waiting = cupy, []
        cupy.queues.append(self)

    @property
    def is_late(self):
        return (self is self.cupy.streams[-1]) == (self.cupy.late == "steps")

    def enqueue(self, task):
        """`task` is a function, or a mark: of this queue, to be passed, or of another one, to be waited for."""
        self.waiting.append(task)
        if self.is_late:
            return
        if self.cupy.late == "copies":
            self.run()
        else:
            self.run_early()

    def run(self, until=None):
        """Do all, or what comes before that mark; what others have to do first is done."""
        while self.waiting and not (until and until.passed):
            task = self.waiting.pop(0)
            if not isinstance(task, Mark):
                task()
            elif task.queue is not self:
                task.queue.run(until=task)
            else:
                task.passed = True
                if self.cupy.late == "steps":
                    for queue in self.cupy.queues:
                        if not queue.is_late:
                            queue.run_early()

    def run_early(self):
        """Do what needn't wait for others."""
        while self.waiting:
            task = self.waiting[0]
            if isinstance(task, Mark) and task.queue is not self and not task.passed:
                return
            self.waiting.pop(0)
            if isinstance(task, Mark):
                task.passed = True
            else:
                task()

    def wait_event(self, event):
        if event.mark:
            self.enqueue(event.mark)


class Event:
    """Stands in for `cupy.cuda.Event`. One that was never recorded has happened."""

    def __init__(self, block=False, disable_timing=False):
        self.mark = None

    def record(self, stream):
        self.mark = Mark(stream)
        stream.enqueue(self.mark)

    def synchronize(self):
        if self.mark and not self.mark.passed:
            self.mark.queue.run(until=self.mark)
