"""A receiver of rollback webhooks: checks the signature, acts once per webhook-id. `python receiver.py PORT FILE`"""

import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["TIDEGAUGE_ROLLBACK_WEBHOOK_SECRET"])
store = sqlite3.connect(sys.argv[2], isolation_level=None)
store.execute("CREATE TABLE IF NOT EXISTS rollbacks (id TEXT PRIMARY KEY, intent TEXT, away_from TEXT, back_to TEXT)")


def roll_back(key: str, data: dict) -> None:
    """Once per id: a repeat inserts nothing. Put your own deployment's call into the same transaction, or make it so
    that doing it twice does no harm."""
    good = data["last_good_deployment"]
    row = (key, data["intent"], data["offending_deployment"]["id"], good and good["id"])
    store.execute("INSERT OR IGNORE INTO rollbacks VALUES (?, ?, ?, ?)", row)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            data = webhook.verify(body, dict(self.headers.items()))["data"]
        except (WebhookVerificationError, ValueError):
            return self.send_error(401)
        if data["asks"] == "rollback":
            roll_back(self.headers["webhook-id"], data)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
