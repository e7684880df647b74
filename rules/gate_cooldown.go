package rules

// gateCooldown holds back a send less than the cooldown after the last one of
// the same rule. A late event counts as of the user's newest: the clock of a
// cooldown does not run backwards. What a run has sent itself does not hold back
// its later sends: once it has sent, it is not asked.
func gateCooldown(f *firing) Outcome {
	if f.rule.Cooldown == 0 || f.in.sent {
		return pass
	}
	if last, ok := f.st.lastSent(f.rule.ID); ok && f.clock()-last < f.rule.Cooldown {
		f.note("last_send", TimeValue(last))
		return Cooldown
	}
	return pass
}
