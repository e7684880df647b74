package rules

// gateExperiment assigns the user. Who lies outside of the experiment, or in
// its control arm, is not sent to.
func gateExperiment(f *firing) Outcome {
	x := f.rule.Experiment
	if x == nil {
		return pass
	}
	f.arm = x.Pinned
	if f.arm == "" {
		a, err := x.Assigner.Assign(f.user)
		if err != nil || a.Excluded {
			// The only error is a NUL in the user id, which decoders refuse.
			return Excluded
		}
		f.arm = a.Arm
	}
	if f.arm == Control {
		return ControlArm
	}
	return pass
}
