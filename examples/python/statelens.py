"""Records runs with a statelens server, and reads them back: Python 3.8 or later, the standard library alone."""
import base64, hashlib, io, json, os, time, urllib.error, urllib.parse, urllib.request, uuid


class StatelensError(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class Statelens:
    def __init__(self, url, token=None, retries=4, timeout=60):
        self.url, self.retries, self.timeout = url.rstrip("/"), retries, timeout
        self.own = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}

    def send(self, method, url, headers, open_body=None):
        """The answer, open to be read. What fails in passing is sent again, for which the body is opened anew."""
        for left in range(self.retries, -1, -1):
            pause = 0.2 * 2 ** (self.retries - left)
            try:
                request = urllib.request.Request(url, open_body and open_body(), headers, method=method)
                return urllib.request.urlopen(request, timeout=self.timeout)
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                pause = float(error.headers.get("retry-after") or pause)
                if error.code not in (429, 502, 503, 504) or left == 0:
                    told = json.loads(text) if text[:1] == "{" else {"message": text}
                    told = {**told, **told["errors"][0], **told["errors"][0]["extensions"]} if "errors" in told else told
                    raise StatelensError(told.get("code", f"HTTP_{error.code}"), told["message"]) from None
            except OSError as error:
                if left == 0:
                    raise StatelensError("UNREACHABLE", error) from error
            time.sleep(pause)

    def graphql(self, query, **variables):
        body = json.dumps({"query": query, "variables": variables}).encode()
        answer = json.load(self.send("POST", f"{self.url}/graphql", self.own, lambda: body))
        if "errors" in answer:
            raise StatelensError(answer["errors"][0]["extensions"]["code"], answer["errors"][0]["message"])
        return answer["data"]

    def capture(self, run_id, step_id, payload, key=None, **told):
        """A state: bytes of JSON, the path of a file, which is never read whole, or a value. `told`: kind, attempt and so on."""
        is_path = isinstance(payload, os.PathLike)
        data = payload if is_path or isinstance(payload, bytes) else json.dumps(payload, allow_nan=False).encode()
        open_body = (lambda: open(data, "rb")) if is_path else (lambda: io.BytesIO(data))
        digest = hashlib.sha256()
        with open_body() as body:
            for chunk in iter(lambda: body.read(1 << 20), b""):
                digest.update(chunk)
            size = body.tell()
        path = "/runs/{}/steps/{}/snapshot".format(*(urllib.parse.quote(part, "") for part in (run_id, step_id)))
        query = urllib.parse.urlencode({name: json.dumps(v) if v is True or v is False else v for name, v in told.items()}, True)
        checked = {"content-digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:", "content-length": str(size)}
        headers = {**self.own, **checked, "idempotency-key": key or str(uuid.uuid4())}
        return json.load(self.send("PUT", f"{self.url}{path}?{query}", headers, open_body))

    def read(self, snapshot_id):
        """The bytes of a state, as a stream."""
        return self.send("GET", f"{self.url}/snapshots/{snapshot_id}/payload", self.own)
