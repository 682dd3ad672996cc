"""python -m hub.simulators.ariba --config FILE.json: the simulated network as a process."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from hub.simulators.ariba import control, cxml, rest
from hub.simulators.ariba.config import Config, ConfigError, load
from hub.simulators.ariba.network import Network
from hub.simulators.portal import Call, Route
from hub.simulators.process import arguments, serve
from hub.simulators.wire import Reply, Request, page


class Ariba:
    """The network's addresses, each with what answers there."""

    def __init__(self, config: Config, settle: float, dtd: Path | None) -> None:
        self.max_body = config.max_body_bytes
        self._network = Network(config, settle)
        api = rest.Api(self._network)
        self._addresses: Mapping[str, Callable[[Request], Call]] = {
            cxml.PATH: cxml.Transactions(self._network, dtd).call,
            rest.TOKEN_PATH: api.token,
            rest.INVOICES_PATH: api.invoices,
        }

    def call(self, request: Request) -> Call:
        """What this request asks for, without doing it."""
        address = self._addresses.get(request.path)
        return address(request) if address else Call("other", None, _nothing_here, _nothing_here)

    def now(self) -> dt.datetime:
        """The network's time, UTC."""
        return self._network.now()

    def clear(self) -> None:
        """Let searches and feeds be honest again."""
        self._network.clear()

    def reset(self) -> None:
        """Forget every document, token and count, and be honest again."""
        self._network.reset()

    def routes(self) -> Mapping[tuple[str, str], Route]:
        """The buyer's control routes."""
        return control.routes(self._network)


def _nothing_here() -> Reply:
    return page(404, "Not Found", "No such page.")


def main() -> None:
    """Read the arguments and serve."""
    parser = arguments("ariba")
    parser.add_argument(
        "--dtd", type=Path, metavar="PATH", help="also validate invoices against this InvoiceDetail.dtd"
    )
    options = parser.parse_args()
    try:
        config = load(options.config)
    except ConfigError as error:
        sys.exit(str(error))
    serve(Ariba(config, options.settle, options.dtd), options)


if __name__ == "__main__":
    main()
