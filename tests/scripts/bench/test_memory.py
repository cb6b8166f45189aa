"""Memory of processes."""

from scripts.bench import memory


def test_a_new_process_holds_less_than_this_one():
    ballast = bytearray(64 * 2**20)
    ballast[:] = b"x" * len(ballast)
    assert memory.peak_bytes() >= memory.resident_bytes() > len(ballast)
    assert 0 < memory.in_new_process(memory.resident_bytes) < memory.resident_bytes()
