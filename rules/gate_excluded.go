package rules

// gateExcluded assigns the user, once for each run. Who lies outside of the
// experiment's slot or coverage is not sent to.
func gateExcluded(f *firing) Outcome {
	x := f.rule.Experiment
	if x == nil {
		return pass
	}
	if run := &f.in.run; run.arm != "" && run.experiment == x.id && run.phase == x.Phase {
		f.arm = run.arm
		return pass
	}
	if f.arm = x.Pinned; f.arm != "" {
		return pass
	}
	a, err := x.Assigner.Assign(f.user)
	if err != nil || a.Excluded {
		// The only error is a NUL in the user id, which decoders refuse.
		f.note("outside", StringValue(string(a.Because)))
		return Excluded
	}
	f.arm = a.Arm
	return pass
}
