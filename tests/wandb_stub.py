"""A loopback stand-in for W&B's API: runs, artefacts, reports, and reading them back. No account, no network."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4
ENTITY, PROJECT = "somebody", "driving"


class WandbStub:
    """Serves on 127.0.0.1 until :meth:`stop`, and keeps what it was sent.

    Attributes:
        history: rows of each run by its id, in the order in which they came.
        runs: what ``UpsertBucket`` told of each run.
        summaries: the newest summary of each run by its id.
        alerts, views: texts of alerts; reports by their id.
        files: names of uploaded files.
        unknown: operations that the stub has no answer for.
        down: while True every request is cut off unanswered, as by a lost network.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.summaries: dict[str, dict[str, Any]] = {}
        self.alerts: list[dict[str, Any]] = []
        self.views: dict[str, dict[str, Any]] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.files: list[str] = []
        self.exits: dict[str, int] = {}
        self.operations: list[str] = []
        self.unknown: list[str] = []
        self.down = False
        stub = self

        class Handler(_Handler):
            owner = stub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> str:
        """The id of the run that people see under ``name``."""
        return next(run for run, told in self.runs.items() if told.get("displayName") == name)

    def answer(self, operation: str, asked: dict[str, Any], query: str) -> dict[str, Any] | None:
        """The data that W&B would send for a GraphQL operation; None for one the stub does not know."""
        self.operations.append(operation)
        reply = getattr(self, f"_on_{operation.lower()}", None)
        if reply is None:
            self.unknown.append(f"{operation}: {query}")
            return None
        return reply(asked)

    # Who and what

    def _on_viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        viewer = {
            "id": "u",
            "entity": ENTITY,
            "username": ENTITY,
            "name": ENTITY,
            "email": "",
            "admin": False,
            "deletedAt": None,
        }
        edges = {"edges": [{"node": {"id": "t", "name": ENTITY}}]}
        return {"viewer": viewer | {"flags": "{}", "teams": edges, "apiKeys": {"edges": []}}}

    _on_getviewer = _on_getdefaultentity = _on_viewer

    def _on_serverfeaturesquery(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _on_projectinternalid(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"id": "UHJvamVjdDox", "internalId": "UHJvamVjdDox"}}

    def _on_getprojects(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"models": {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}}

    def _on_createproject(self, asked: dict[str, Any]) -> dict[str, Any]:
        model = {"id": "p", "name": asked.get("name", PROJECT), "entityName": ENTITY, "description": ""}
        return {"upsertModel": {"project": model, "model": model, "inserted": True}}

    # Runs

    def _on_runresumestatus(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["name"]
        if name not in self.runs:
            return {"model": None}
        rows = self.history.get(name, [])
        bucket = {
            "name": name,
            "summaryMetrics": json.dumps(self.summaries.get(name, {})),
            "displayName": name,
            "logLineCount": 0,
            "historyLineCount": len(rows),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
            "eventsTail": "[]",
            "config": self.runs[name].get("config") or "{}",
            "tags": [],
            "wandbConfig": '{"t": 1}',
        }
        return {"model": {"id": "p", "name": PROJECT, "entity": {"id": "e", "name": ENTITY}, "bucket": bucket}}

    def _on_upsertbucket(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["name"]
        new = name not in self.runs
        self.runs.setdefault(name, {}).update({key: value for key, value in asked.items() if value is not None})
        bucket = {"id": f"id-{name}", "name": name, "displayName": asked.get("displayName") or name}
        bucket |= {"description": "", "config": None, "sweepName": None, "historyLineCount": 0}
        bucket["project"] = {"id": "p", "name": PROJECT, "entity": {"id": "e", "name": ENTITY}}
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def _on_notifyscriptablerunalert(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.alerts.append(asked)
        return {"notifyScriptableRunAlert": {"success": True}}

    def _on_createrunfiles(self, asked: dict[str, Any]) -> dict[str, Any]:
        names = asked["files"]
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in names]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}

    # Reading back

    def _run(self, name: str) -> dict[str, Any]:
        told, rows = self.runs[name], self.history.get(name, [])
        node = {"id": f"id-{name}", "name": name, "displayName": told.get("displayName") or name, "projectId": 1}
        state = {None: "running", 0: "finished"}.get(self.exits.get(name), "failed")
        node |= {"state": state, "group": told.get("groupName")}
        node |= {"config": told.get("config") or "{}", "summaryMetrics": json.dumps(self.summaries.get(name, {}))}
        node |= {"historyLineCount": len(rows), "historyKeys": {"lastStep": len(rows) - 1, "keys": {}}}
        node |= {"tags": [], "sweepName": None, "jobType": "train", "commit": None, "readOnly": False, "notes": ""}
        node |= {"description": "", "createdAt": "2026-01-01T00:00:00", "heartbeatAt": "2026-01-01T00:00:00"}
        return node | {"user": {"name": ENTITY, "username": ENTITY}, "systemMetrics": "{}"}

    def _on_runs(self, _: dict[str, Any]) -> dict[str, Any]:
        edges = [{"node": self._run(name), "cursor": name} for name in self.runs]
        page = {"endCursor": None, "hasNextPage": False}
        runs = {"edges": edges, "pageInfo": page}
        return {"project": {"internalId": 1, "runCount": len(edges), "readOnly": False, "runs": runs}}

    def _on_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"run": self._run(asked.get("name") or asked["run"])}}

    _on_runhistorykeys = _on_run

    def _on_runparquethistory(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": self.history[asked["runName"]]}}}}

    def _on_historypage(self, asked: dict[str, Any]) -> dict[str, Any]:
        rows = [row for row in self.history[asked["run"]] if asked["minStep"] <= row["_step"] < asked["maxStep"]]
        return {"project": {"run": {"history": [json.dumps(row) for row in rows]}}}

    # Artefacts

    def _on_createartifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        asked = asked.get("input", asked)
        self.artifacts.append(asked)
        artifact = {"id": f"a{len(self.artifacts)}", "state": "PENDING", "artifactSequence": {"id": "s"}}
        artifact["artifactSequence"] |= {"latestArtifact": None, "name": "sequence"}
        return {"createArtifact": {"artifact": artifact}}

    def _on_createartifactmanifest(self, asked: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "f", "displayName": "m", "uploadUrl": f"{self.url}/upload/manifest", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _on_updateartifactmanifest(self, asked: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "f", "displayName": "m", "uploadUrl": f"{self.url}/upload/manifest", "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _on_createartifactfiles(self, asked: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for spec in asked.get("artifactFiles") or asked["input"]["artifactFiles"]:
            name = spec["name"]
            node = {"id": name, "name": name, "displayName": name, "uploadUrl": f"{self.url}/upload/{name}"}
            node |= {"uploadHeaders": [], "storagePath": name, "uploadMultipartUrls": None, "artifact": {"id": "a1"}}
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _on_commitartifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"commitArtifact": {"artifact": {"id": "a1", "digest": "d"}}}

    def _on_artifacttype(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _on_useartifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"useArtifact": {"artifact": {"id": "a1"}}}

    # Reports

    def _on_upsertview(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked.get("id") or f"VmlldzoxMjM0NTY{len(self.views)}"
        self.views[name] = asked
        project = {"id": "p", "name": asked.get("projectName"), "entityName": asked.get("entityName")}
        view = {"id": name, "type": "runs", "name": asked.get("name"), "displayName": asked.get("displayName")}
        view |= {"description": asked.get("description"), "project": project, "spec": asked["spec"]}
        view |= {"updatedAt": "2026-01-01T00:00:00"}
        return {"upsertView": {"view": view, "inserted": True}}

    def _on_specificreport(self, asked: dict[str, Any]) -> dict[str, Any]:
        kept = self.views[asked["reportId"].rstrip("=")]
        project = {"id": "p", "name": kept["projectName"], "entityName": kept["entityName"]}
        view = {"id": asked["reportId"], "name": kept.get("name"), "displayName": kept.get("displayName")}
        view |= {"description": kept.get("description"), "project": project, "spec": kept["spec"]}
        return {"view": view | {"createdAt": "2026-01-01T00:00:00", "updatedAt": "2026-01-01T00:00:00"}}


class _Handler(BaseHTTPRequestHandler):
    owner: WandbStub
    protocol_version = "HTTP/1.1"

    def _body(self) -> bytes:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw

    def _send(self, value: Any) -> None:
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def handle(self) -> None:
        """Serve a connection; a client that hangs up is no fault."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        stub = self.owner
        if stub.down:
            self.close_connection = True
            return
        body = self._body()
        if self.path.startswith("/upload/"):
            stub.files.append(self.path.removeprefix("/upload/"))
            self._send({})
        elif self.path.endswith("/file_stream"):
            self._stream(self.path.split("/")[-2], json.loads(body))
        elif self.path.endswith("/graphql"):
            asked = json.loads(body)
            query = asked["query"]
            named = re.search(r"(?:query|mutation)\s+(\w+)", query)
            operation = asked.get("operationName") or (named[1] if named else "")
            data = stub.answer(operation, asked.get("variables") or {}, query)
            self._send(
                {"data": data} if data is not None else {"data": None, "errors": [{"message": f"no {operation}"}]}
            )
        else:
            self._send({})

    def _stream(self, run: str, sent: dict[str, Any]) -> None:
        stub = self.owner
        for name, chunk in (sent.get("files") or {}).items():
            if "history" in name:
                stub.history.setdefault(run, []).extend(json.loads(line) for line in chunk["content"])
            elif "summary" in name:
                stub.summaries[run] = json.loads(chunk["content"][-1])
        if sent.get("complete"):
            stub.exits[run] = sent["exitcode"]
        self._send({})

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
