"""Event by event: what FCFS alone cannot do, such as priorities, failures and admission."""
