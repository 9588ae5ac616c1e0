"""A real Apache Kafka for the tests: one KRaft node on loopback, its data in a temporary directory.

`python -m tests.kafka.broker run -- CMD...` runs CMD with KAFKA_BOOTSTRAP set to a broker that lives as long as CMD.
"""

import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Self

from tests.java import NotHereError, fetched, java

HERE = Path(__file__).parent
COMPOSE = HERE.parent.parent / "docker-compose.yml"
COMPOSE_BOOTSTRAP = "127.0.0.1:9092"
LEAST_JAVA = 17
START_TIMEOUT_S = 90.0
SERVERS_PORTS = 10_000, 32_000
"""Linux gives ports from 32,768 on to outgoing connections, others from 49,152 on."""
JVM = (
    "-Xmx512m",
    "-Xms256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
delete.topic.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.threads=1
"""
GUARDED = """\
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_PLAINTEXT://127.0.0.1:{sasl}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \\
  required user_{user}="{password}";
"""
"""A second listener with a password, whose user has no rights at all."""


def kafka_version() -> str:
    """The version that pom.xml names."""
    found = re.search(r"<kafka\.version>(.+)</kafka\.version>", (HERE / "pom.xml").read_text())
    assert found
    return found[1]


def jars() -> Path:
    """The directory of Kafka's jars; fetched once with Maven into the user's cache."""

    def goal(place: Path) -> list[str]:
        copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={place}/jars"]
        return ["-f", str(HERE / "pom.xml"), *copy]

    return fetched(f"kafka-{kafka_version()}", goal, lambda place: place / "jars")


def free_ports(count: int) -> list[int]:
    """Ports of loopback, one behind the other, on which nobody listens now. None of those that the system gives to
    outgoing connections: one of these could take it before its server does, or while its server is dead.
    """
    while True:
        first = random.randrange(*SERVERS_PORTS)
        ports = [*range(first, first + count)]
        with ExitStack() as held, suppress(OSError):
            for port in ports:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return ports


def die_with_parent() -> None:
    """Run in the child: a broker must not outlive a test run that was killed."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Broker:
    """One Kafka node as a child process; the same port and data over `kill` and `start`."""

    def __init__(self, user: str = "", password: str = "", jvm: Sequence[str] = JVM) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="choreo-kafka-"))
        self.port, controller, sasl = free_ports(3)
        self.bootstrap, self.guarded_bootstrap = f"127.0.0.1:{self.port}", f"127.0.0.1:{sasl}"
        self._command = [java(LEAST_JAVA), *jvm, "-cp", f"{jars()}/*"]
        text = PROPERTIES.format(port=self.port, controller=controller, data=self.home / "data")
        if user:
            text += GUARDED.format(port=self.port, controller=controller, sasl=sasl, user=user, password=password)
        (self.home / "server.properties").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None
        # Linux takes the thread that started a process for its parent, so that thread has to live as long.
        self._spawner = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        try:
            self._run_tool()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._spawner.shutdown()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it serves clients."""
        with (self.home / "kafka.log").open("ab") as out:
            self._process = self._spawner.submit(
                subprocess.Popen,
                [*self._command, "kafka.Kafka", str(self.home / "server.properties")],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent,
            ).result()
        self._wait_until_serving()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Stop it in order (SIGTERM), by force after `timeout_s`."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """kill -9 and start again on the same port and data."""
        self.kill()
        self.start()

    def _run_tool(self) -> None:
        # The random bytes begin with a zero: a cluster id that begins with a dash would be read as an option.
        cluster = urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        arguments = ["format", "-t", cluster, "-c", str(self.home / "server.properties")]
        command = [*self._command, "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHereError(f"formatting Kafka's storage failed: {(done.stdout + done.stderr)[-400:]}")

    def _wait_until_serving(self) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            assert self._process is not None
            if self._process.poll() is not None:
                raise NotHereError(f"Kafka ended at once: {(self.home / 'kafka.log').read_text()[-800:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
                found = admin.list_topics(timeout=5)
                led = all(part.leader >= 0 for topic in found.topics.values() for part in topic.partitions.values())
                if found.brokers and led:
                    return
            except (OSError, KafkaException):
                time.sleep(0.1)
        raise NotHereError(f"Kafka did not serve within {START_TIMEOUT_S:g} s")


class ComposeBroker:
    """The broker of docker-compose.yml, where an engine runs."""

    bootstrap = COMPOSE_BOOTSTRAP

    def __enter__(self) -> Self:
        docker = shutil.which("docker")
        if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
            raise NotHereError("no docker engine runs")
        self._compose = [docker, "compose", "-p", "choreo-tests", "-f", str(COMPOSE)]
        done = subprocess.run([*self._compose, "up", "-d", "--wait", "kafka"], capture_output=True, check=False)
        if done.returncode:
            raise NotHereError(f"docker compose up failed: {done.stderr.decode()[-400:]}")
        return self

    def __exit__(self, *error: object) -> None:
        subprocess.run([*self._compose, "down", "-v"], capture_output=True, check=False)


def any_broker(jvm: Sequence[str] = JVM) -> Broker | ComposeBroker:
    """Whichever broker this machine can run, already started; `jvm`: options of its Java. Raises NotHereError."""
    tried: list[str] = []
    for make in (partial(Broker, jvm=jvm), ComposeBroker):
        try:
            return make().__enter__()
        except NotHereError as error:
            tried.append(str(error))
    raise NotHereError("; ".join(tried))


def run(command: Sequence[str]) -> int:
    """Run `command` with KAFKA_BOOTSTRAP set; without a broker it runs too, and says so itself."""
    if os.environ.get("KAFKA_BOOTSTRAP"):
        return subprocess.call(command)
    try:
        broker = any_broker()
    except NotHereError as error:
        return subprocess.call(command, env={**os.environ, "CHOREO_NO_KAFKA": str(error)})
    try:
        return subprocess.call(command, env={**os.environ, "KAFKA_BOOTSTRAP": broker.bootstrap})
    finally:
        broker.__exit__()


if __name__ == "__main__":
    if sys.argv[1:3] != ["run", "--"] or len(sys.argv) < 4:
        sys.exit("usage: python -m tests.kafka.broker run -- CMD...")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the broker is put away
    sys.exit(run(sys.argv[3:]))
