"""What every room stands on: errors, clock, tasks, log. No word of the domain appears here."""
