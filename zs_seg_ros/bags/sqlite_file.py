# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reads the SQLite files (.db3) of rosbag2."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from zs_seg_ros.bags.storage import Channel, StoredMessage, readable_qos
from zs_seg_ros.errors import BagError
from zs_seg_ros.shown import quoted, shown

_VIRTUAL = re.compile(r"\s*CREATE\s+VIRTUAL\b", re.IGNORECASE)


class SqliteFile:
    """A .db3 file of rosbag2; see `Storage`."""

    warnings: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        """Open the file and read its topics. Raises BagError for a file that is none of rosbag2, or damaged."""
        try:
            self._database = _open(path)
            try:
                self._read(path)
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise BagError(
                f"the recording {path} cannot be read: {shown(error, 300)}; record or copy it again, or let "
                f"`sqlite3 {path.name} .recover` rescue it"
            ) from error

    def _read(self, path: Path) -> None:
        self._require_plain_tables(path)
        self._ids, self.channels = self._read_channels()
        ends = self._database.execute("SELECT MIN(timestamp), MAX(timestamp) FROM messages")
        self.start_ns, self.end_ns = ends.fetchone()
        if not all(isinstance(end, int | None) for end in (self.start_ns, self.end_ns)):
            raise sqlite3.DatabaseError("its times are no whole numbers")

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[StoredMessage]:
        """Yield messages as `Storage` describes."""
        ids = [number for number, topic in self._ids.items() if topic in topics]
        query = (
            "SELECT topic_id, timestamp, data FROM messages "
            f"WHERE topic_id IN ({', '.join('?' * len(ids))})"
        )
        values: list[int] = list(ids)
        for condition, time_ns in (("timestamp >= ?", start_ns), ("timestamp < ?", stop_ns)):
            if time_ns is not None:
                query += f" AND {condition}"
                values.append(time_ns)
        rows = self._database.execute(f"{query} ORDER BY timestamp, id", values)
        try:
            for number, time_ns, data in rows:
                if not isinstance(data, bytes):
                    raise BagError(f"a message of {self._ids[number]} is no binary data")
                yield self._ids[number], time_ns, data
        finally:
            with suppress(sqlite3.ProgrammingError):  # the file was closed before the iteration
                rows.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _require_plain_tables(self, path: Path) -> None:
        """Raise BagError unless all tables hold their rows: views and generated columns can be endless."""
        for name, kind, sql in self._database.execute("SELECT name, type, sql FROM sqlite_master"):
            plain = kind != "view" and not (kind == "table" and _VIRTUAL.match(sql or ""))
            if plain and kind == "table":
                columns = self._database.execute("SELECT hidden FROM pragma_table_xinfo(?)", [name])
                plain = not any(hidden for (hidden,) in columns)
            if not plain:
                raise BagError(
                    f"the recording {path} is refused: rosbag2 writes tables, and {quoted(name)} is a view or has "
                    "computed columns; record it again"
                )

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._database.execute(f"PRAGMA table_info({table})")}

    def _read_channels(self) -> tuple[dict[int, str], tuple[Channel, ...]]:
        """Return topics by id, and the channels. Columns that an older rosbag2 did not write are empty."""
        known = self._columns("topics")
        names = ("offered_qos_profiles", "type_description_hash")
        extra = ", ".join(name if name in known else "''" for name in names)
        query = f"SELECT id, name, type, serialization_format, {extra} FROM topics ORDER BY id"
        counts = dict(
            self._database.execute("SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id")
        )
        definitions: dict[str, tuple[str, str]] = {}
        if self._columns("message_definitions"):
            definitions = {
                name: (text, form)
                for name, form, text in self._database.execute(
                    "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
                )
            }
        ids, channels = {}, []
        for number, topic, kind, encoding, qos, type_hash in self._database.execute(query):
            if not (isinstance(topic, str) and isinstance(kind, str)):
                raise sqlite3.DatabaseError("a topic has no name or no type")
            ids[number] = topic
            text, form = definitions.get(kind, ("", ""))
            count = counts.get(number, 0)
            channels.append(
                Channel(
                    topic,
                    kind,
                    count,
                    text,
                    form,
                    type_hash or "",
                    encoding or "cdr",
                    readable_qos(qos),
                )
            )
        return ids, tuple(channels)


def _open(path: Path) -> sqlite3.Connection:
    """Open read-only: with what a crash left in the write-ahead log or, where that cannot be read, without."""
    name = quote(str(path.absolute()))
    for mode in ("mode=ro", "immutable=1"):
        # Messages are read in another thread than the one that opens the file.
        database = sqlite3.connect(f"file:{name}?{mode}", uri=True, check_same_thread=False)
        try:
            database.execute("SELECT name FROM sqlite_master").fetchall()
            return database
        except sqlite3.OperationalError:
            database.close()
            if mode == "immutable=1":
                raise
        except sqlite3.DatabaseError:
            database.close()
            raise
    raise AssertionError("one of the modes returns or raises")
