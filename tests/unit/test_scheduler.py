"""Jobs repeat, a failing one does not end the service, and SIGTERM lets the one at hand finish."""

import signal
import subprocess
import sys
import textwrap
import threading
import time

from hubbot.errors import HubUnavailable
from hubbot.scheduler import Job, Schedule


def test_jobs_repeat_and_survive_their_own_failures(caplog):
    stopping, done = threading.Event(), []

    def fails():
        done.append("fails")
        raise OSError("disk on fire")

    def ends():
        done.append("works")
        if done.count("fails") > 1 and done.count("works") > 2:
            stopping.set()

    schedule = Schedule([Job("fails", 0.05, fails), Job("works", 0.05, ends)])
    schedule.run(stopping)
    assert done.count("fails") > 1
    assert "disk on fire" in caplog.text
    broken, well = schedule.states()
    assert (broken.failures, broken.error) == (done.count("fails"), "OSError: disk on fire")
    assert broken.ended_well_at is None
    assert (well.failures, well.runs, well.error) == (0, done.count("works"), "")
    assert well.ended_well_at >= well.began_at


def test_a_hub_that_is_down_is_told_in_a_line(caplog):
    stopping = threading.Event()

    def fails():
        stopping.set()
        raise HubUnavailable("the Hub fails: 500")

    schedule = Schedule([Job("look", 60, fails)])
    schedule.run(stopping)
    [record] = [record for record in caplog.records if record.name == "hubbot.scheduler"]
    assert record.getMessage() == "look failed, and runs again in 60 s: the Hub fails: 500"
    assert record.exc_info is None
    assert schedule.states()[0].failures == 1


def test_a_clock_that_is_set_back_holds_no_job_up():
    stopping, began, back = threading.Event(), [], []
    schedule = Schedule([Job("often", 3600, lambda: began.append(time.monotonic()))])

    def set_back():
        while len(began) < 1:
            time.sleep(0.01)
        back.append(3600)
        while len(began) < 2 and not stopping.wait(0.01):
            pass
        stopping.set()

    changing = threading.Thread(target=set_back)
    changing.start()
    schedule.run(stopping, wall=lambda: time.time() - sum(back))
    changing.join()
    assert len(began) == 2


def test_a_job_that_is_hurried_runs_at_once():
    stopping, began = threading.Event(), []
    schedule = Schedule([Job("rare", 3600, lambda: began.append(time.monotonic()))])
    running = threading.Thread(
        target=lambda: (time.sleep(0.5), schedule.hurry("rare"), time.sleep(0.5), stopping.set())
    )
    running.start()
    schedule.run(stopping)
    running.join()
    assert len(began) == 2
    assert schedule.states()[0].runs == 2


def test_one_job_at_a_time():
    stopping, inside, most = threading.Event(), [], []

    def busy():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        if len(most) > 6:
            stopping.set()

    Schedule([Job("a", 0.02, busy), Job("b", 0.02, busy)]).run(stopping)
    assert max(most) == 1, "two jobs wrote at once"


def test_sigterm_finishes_what_is_at_hand():
    program = textwrap.dedent(
        """
        import threading, time
        from hubbot.scheduler import Job, Schedule
        stopping = threading.Event()
        def work():
            print("begun", flush=True)
            while not stopping.is_set():
                time.sleep(0.01)
            time.sleep(0.3)
            print("finished", flush=True)
        Schedule([Job("work", 60, work)]).run(stopping)
        print("closed", flush=True)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "finished\nclosed\n"
    assert process.returncode == 0
