"""Helpers of the tests of real servers."""

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import botocore.session
import psutil

TABLE = "kept"


def free_port() -> int:
    # Below the range of outgoing connections, so that it stays free during a restart.
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311
        with socket.socket() as found, suppress(OSError):
            found.bind(("", port))
            return port


# Shared, because botocore loads DynamoDB's service model for each session.
_SESSION = botocore.session.Session()


def client(endpoint: str) -> Any:
    return _SESSION.create_client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-west-2",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


def put(endpoint: str, key: str) -> None:
    dynamodb = client(endpoint)
    if TABLE not in dynamodb.list_tables()["TableNames"]:
        dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": key}})
    dynamodb.close()


def has(endpoint: str, key: str) -> bool:
    dynamodb = client(endpoint)
    found = "Item" in dynamodb.get_item(TableName=TABLE, Key={"pk": {"S": key}})
    dynamodb.close()
    return found


def javas_with(text: str) -> list[int]:
    """Return the running Java processes with a text in their command lines."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and process.info["cmdline"]
        and Path(process.info["cmdline"][0]).name == "java"
        and text in " ".join(process.info["cmdline"])
    ]


def eventually(condition: Callable[[], bool], within: float = 60.0) -> bool:
    """Wait for a condition, and return whether it became true in time."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_gone(pid: int, within: float = 60.0) -> bool:
    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return eventually(ended, within)


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
