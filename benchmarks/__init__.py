"""What an adapter costs beside PEFT and the frozen base: `python -m benchmarks.adapter`."""
