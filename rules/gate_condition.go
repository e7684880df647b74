package rules

// gateCondition asks the rule's when. What it read is kept for the decision of
// a condition that does not hold.
func gateCondition(f *firing) Outcome {
	if f.ask(f.rule.When) {
		return pass
	}
	if f.byClock || f.out.Verbose {
		for _, n := range f.rule.Because {
			f.note(n.Name, n.Expr(&f.env))
		}
	}
	return Condition
}
