from simulation.world import World

def test_a_task_runs() -> None:
    with World(1) as world:
        world.create_session("s")
        world.create_task("t", "s", count=20)
        for _ in range(120):
            world.passes(1.0)
            if world.tasks()["t"].get("status", {}).get("progress") == "20/20":
                break
        print(world.loop.time(), world.tasks()["t"].get("status"))
        assert world.tasks()["t"]["status"]["progress"] == "20/20"
