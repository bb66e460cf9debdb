"""Jobs repeat, a failing one does not end the service, and SIGTERM lets the one at hand finish."""

import signal
import subprocess
import sys
import textwrap
import threading
import time

from hubbot.scheduler import Job, run


def test_jobs_repeat_and_survive_their_own_failures(caplog):
    stopping, done = threading.Event(), []

    def fails():
        done.append("fails")
        raise OSError("disk on fire")

    def ends():
        done.append("works")
        if done.count("fails") > 1 and done.count("works") > 2:
            stopping.set()

    run([Job("fails", 0.05, fails), Job("works", 0.05, ends)], stopping)
    assert done.count("fails") > 1
    assert "disk on fire" in caplog.text


def test_one_job_at_a_time():
    stopping, inside, most = threading.Event(), [], []

    def busy():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        if len(most) > 6:
            stopping.set()

    run([Job("a", 0.02, busy), Job("b", 0.02, busy)], stopping)
    assert max(most) == 1, "two jobs wrote at once"


def test_sigterm_finishes_what_is_at_hand():
    program = textwrap.dedent(
        """
        import threading, time
        from hubbot.scheduler import Job, run
        stopping = threading.Event()
        def work():
            print("begun", flush=True)
            while not stopping.is_set():
                time.sleep(0.01)
            time.sleep(0.3)
            print("finished", flush=True)
        run([Job("work", 60, work)], stopping)
        print("closed", flush=True)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "finished\nclosed\n"
    assert process.returncode == 0
