"""What a user writes: Handler, Service, Store, Timer, Context. It declares and records effects; it acts on nothing."""
