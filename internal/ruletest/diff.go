package ruletest

// Mark says how a row of a diff stands to the expectation.
type Mark string

// The marks of rows.
const (
	Same    Mark = "same"
	Missing Mark = "missing" // expected, did not happen
	Extra   Mark = "extra"   // happened, not expected
)

// Row is one line of a diff. Of a pair that is about the same firing, the
// Missing comes first and Pair is set in both.
type Row struct {
	Mark Mark
	Pair bool

	want *expectation // nil for Extra
	got  *happened    // nil for Missing, but in a pair what happened instead
}

// align finds the longest list of expectations that happened in their order;
// what is left between two of them is missing, or extra.
func (t *Test) align(got []happened) []Row {
	n, m := len(t.expect), len(got)
	// best[i][j] is how many of expect[i:] agree with got[j:].
	best := make([][]int32, n+1)
	for i := range best {
		best[i] = make([]int32, m+1)
	}
	same := func(i, j int) bool { return t.expect[i].matches(&got[j], t.start) }
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			best[i][j] = max(best[i+1][j], best[i][j+1])
			if same(i, j) {
				best[i][j] = max(best[i][j], best[i+1][j+1]+1)
			}
		}
	}
	var rows []Row
	i, j := 0, 0
	var missing []*expectation
	var extra []*happened
	flush := func() {
		rows = append(rows, t.pair(missing, extra)...)
		missing, extra = nil, nil
	}
	for i < n || j < m {
		switch {
		case i < n && j < m && same(i, j) && best[i][j] == best[i+1][j+1]+1:
			flush()
			rows = append(rows, Row{Mark: Same, want: t.expect[i], got: &got[j]})
			i++
			j++
		case j == m || i < n && best[i+1][j] >= best[i][j+1]:
			missing = append(missing, t.expect[i])
			i++
		default:
			extra = append(extra, &got[j])
			j++
		}
	}
	flush()
	return rows
}

// pair puts each missing expectation beside what happened instead: a decision of
// the same rule and user, at the same time if there is one.
func (t *Test) pair(missing []*expectation, extra []*happened) []Row {
	var rows []Row
	taken := make([]bool, len(extra))
	for _, x := range missing {
		best, score := -1, 0
		for j, h := range extra {
			if s := t.likeness(x, h); !taken[j] && s > score {
				best, score = j, s
			}
		}
		if best < 0 {
			rows = append(rows, Row{Mark: Missing, want: x})
			continue
		}
		taken[best] = true
		rows = append(rows, Row{Mark: Missing, Pair: true, want: x, got: extra[best]}, Row{Mark: Extra, Pair: true, want: x, got: extra[best]})
	}
	for j, h := range extra {
		if !taken[j] {
			rows = append(rows, Row{Mark: Extra, got: h})
		}
	}
	return rows
}

// likeness is 0 unless rule and user are those expected, as far as they are
// given; then it counts the keys that agree.
func (t *Test) likeness(x *expectation, h *happened) int {
	score := 1
	for _, key := range x.keys {
		switch agrees := x.agrees(key, h, t.start); {
		case agrees:
			score++
		case key == "rule" || key == "user":
			return 0
		}
	}
	return score
}

// within finds for each expectation a decision of its own, whatever the order
// (augmenting paths: an expectation that says little yields what another needs).
func (t *Test) within(got []happened) []Row {
	holder := make([]int, len(got)) // which expectation has the decision, -1: none
	for j := range holder {
		holder[j] = -1
	}
	var place func(i int, tried []bool) bool
	place = func(i int, tried []bool) bool {
		for j := range got {
			if tried[j] || !t.expect[i].matches(&got[j], t.start) {
				continue
			}
			tried[j] = true
			if holder[j] < 0 || place(holder[j], tried) {
				holder[j] = i
				return true
			}
		}
		return false
	}
	for i := range t.expect {
		place(i, make([]bool, len(got)))
	}
	found := make([]*happened, len(t.expect))
	var spare []*happened
	for j, i := range holder {
		if i < 0 {
			spare = append(spare, &got[j])
		} else {
			found[i] = &got[j]
		}
	}
	var rows []Row
	for i, x := range t.expect {
		if found[i] != nil {
			rows = append(rows, Row{Mark: Same, want: x, got: found[i]})
			continue
		}
		// What happened instead may be told, but was not forbidden.
		for _, r := range t.pair([]*expectation{x}, spare) {
			if r.Mark == Missing || r.Pair {
				rows = append(rows, r)
			}
		}
	}
	return rows
}
