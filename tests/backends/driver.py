"""A study in a process of its own, to be killed: `driver.py FOLDER`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adding import description

from autolora.study.description import described
from autolora.study.study import Study


def main() -> None:
    spec = described(description(name="ray_tune", workers=2))
    study = Study.create(spec, folder=Path(sys.argv[1]), allow_code=True)

    def tell(event: Mapping[str, Any]) -> None:
        sys.stdout.write(f"{event['event']}\n")
        sys.stdout.flush()

    study.run(tell)


if __name__ == "__main__":
    main()
