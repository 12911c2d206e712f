"""How many of scikit-learn's own checks of estimators ours pass, kind by kind: those of tests/models/test_sklearn.py.

    python benchmarks/conventions.py      writes benchmarks/results/conventions.json; a minute
"""

import collections
import sys
import warnings
from pathlib import Path

from results import write

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "models"))


def main():
    from sklearn.utils.estimator_checks import check_estimator
    from test_sklearn import ESTIMATORS, EXPLAINED

    warnings.simplefilter("ignore")
    results = {}
    for name, estimator in ESTIMATORS.items():
        explained = EXPLAINED.get(name, {})
        checks = check_estimator(estimator, on_fail=None, on_skip=None, expected_failed_checks=explained)
        count = collections.Counter(check["status"] for check in checks)
        results[name] = {"class": type(estimator).__name__, "passed": count["passed"], "explained": count["xfail"],
                         "failed": count["failed"], "skipped": sorted({check["check_name"] for check in checks
                                                                        if check["status"] == "skipped"}),
                         "why": sorted(set(explained.values()))}
        print(name, {key: results[name][key] for key in ("passed", "explained", "failed", "skipped")}, flush=True)
    write("conventions", results)


if __name__ == "__main__":
    main()
