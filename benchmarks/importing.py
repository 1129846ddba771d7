"""How long does `import glacierlab` take, against the libraries that its users import anyway?

Median of five fresh interpreters each, interleaved.
"""

import statistics
import subprocess
import sys
import time

STATEMENTS = {
    "import xarray, rioxarray, geopandas": "import xarray, rioxarray, geopandas",
    "import glacierlab": "import glacierlab",
}


def seconds(statement):
    """Time of the import alone, in a fresh interpreter."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main():
    times = {name: [] for name in STATEMENTS}
    for _ in range(5):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
            time.sleep(0.05)
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["import xarray, rioxarray, geopandas"]
    for name, value in medians.items():
        print(f"{name:38} {value:6.2f} s  {value / base:5.2f} x")


if __name__ == "__main__":
    main()
