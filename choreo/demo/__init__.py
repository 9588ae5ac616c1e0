"""The sample shop on real or generated orders: reads rows, runs the shop over them, shows what happened."""
