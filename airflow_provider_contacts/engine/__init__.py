"""The loop of one push: admission, requests in flight, policy, plan."""
