"""How long each chart's query takes in the server, by itself: the median of 7, in milliseconds.

Reads only. Needs what check.py needs. Exit code 1 if one takes more than 100 ms.
"""

import json
import statistics
import sys
import time

from check import Api
from fill import connect

LIMIT_MS = 100


def main():
    api, connection = Api(), connect()
    worst = 0
    for chart in api.call("/api/v1/dashboard/tweeter/charts")["result"]:
        context = json.loads(api.call(f"/api/v1/chart/{chart['id']}")["result"]["query_context"])
        sql = api.call("/api/v1/chart/data", context | {"result_type": "query"})["result"][0]["query"]
        taken = []
        for _ in range(7):
            with connection.cursor() as cursor:
                start = time.perf_counter()
                cursor.execute(sql.rstrip("; \n"))
                cursor.fetchall()
                taken.append((time.perf_counter() - start) * 1000)
        median = statistics.median(taken)
        worst = max(worst, median)
        print(f"{median:8.1f} ms  (best {min(taken):.1f}, worst {max(taken):.1f})  {chart['slice_name']}")
    print(f"worst={worst:.1f} ms")
    sys.exit(worst > LIMIT_MS)


main()
