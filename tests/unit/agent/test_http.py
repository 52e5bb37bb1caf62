"""Probes and metrics of the agent."""

import aiohttp

from armonik_agent.http_endpoints import Metrics, serve_http


async def test_metrics_show_the_lag_of_the_event_loop(unused_tcp_port: int) -> None:
    metrics = Metrics()
    metrics.monitor.note(0.2, now=1000.0)
    runner = await serve_http(metrics, lambda: "not yet", unused_tcp_port)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{unused_tcp_port}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    await runner.cleanup()
    assert 'armonik_event_loop_lag_seconds_bucket{le="0.1"} 0.0' in lines
    assert 'armonik_event_loop_lag_seconds_bucket{le="0.25"} 1.0' in lines
