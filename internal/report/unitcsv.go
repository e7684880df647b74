package report

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nudged/nudged/experiment/stats"
	"github.com/nudged/nudged/internal/input"
)

// Columns names the columns of a table with a row for each user.
type Columns struct {
	Arm       string // needed
	Converted string // 1/0, true/false, yes/no, or a number of conversions; empty: not known
	Value     string // a number; an empty cell is 0; empty: not known
	Covariate string // a number known before the experiment; an empty cell is 0; empty: none
	Time      string // of the exposure, for the plots over time; empty: not known
}

// FromCSV sums up a table with a header and a row for each user. complain is
// told of every row that cannot be read, with its line; such a row is left out.
func FromCSV(name string, src io.Reader, cols Columns, o Options, complain func(error)) (*Data, error) {
	if cols.Arm == "" || cols.Converted == "" && cols.Value == "" {
		return nil, errors.New("the columns of the arm and of what came of it are needed: --arm COL with --converted COL, --value COL or both")
	}
	d := &Data{Experiment: name, Options: o, Converted: cols.Converted != "", Value: cols.Value != "", Covariate: cols.Covariate != ""}
	if d.Covariate && !d.Value {
		return nil, errors.New("--covariate adjusts values: give --value too")
	}
	rows := csv.NewReader(src)
	rows.ReuseRecord = true
	rows.LazyQuotes = true
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the file is empty: a first line with the names of the columns is needed", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\xef\xbb\xbf")
	places, err := cols.find(name, header)
	if err != nil {
		return nil, err
	}
	t := newUnitTable(d, places)
	for {
		row, err := rows.Read()
		var malformed *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return d, t.finish(d)
		case errors.As(err, &malformed):
			complain(fmt.Errorf("%s: %w", name, err))
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := t.add(row); err != nil {
			line, _ := rows.FieldPos(0)
			complain(fmt.Errorf("%s:%d: %w", name, line, err))
		}
	}
}

// places are the indices of columns; -1: not there.
type places struct{ arm, converted, value, covariate, time int }

func (c *Columns) find(name string, header []string) (p places, err error) {
	for _, f := range []struct {
		flag, column string
		at           *int
	}{
		{"arm", c.Arm, &p.arm},
		{"converted", c.Converted, &p.converted},
		{"value", c.Value, &p.value},
		{"covariate", c.Covariate, &p.covariate},
		{"time", c.Time, &p.time},
	} {
		*f.at = slices.Index(header, f.column)
		if f.column != "" && *f.at < 0 {
			return p, fmt.Errorf("%s: there is no column %q (--%s): the columns are %s", name, f.column, f.flag, strings.Join(header, ", "))
		}
	}
	return p, nil
}

// unitTable sums up rows by arm, in the order in which arms turn up.
type unitTable struct {
	places
	o     *Options
	arms  []string
	sums  []ArmData
	times []timed // only if there is a column of times
	d     *Data
}

// timed is one row, to be put into its step once the span of time is known.
type timed struct {
	at        int64
	value     float64
	arm       int32
	converted bool
}

func newUnitTable(d *Data, p places) *unitTable {
	return &unitTable{places: p, o: &d.Options, d: d}
}

func (t *unitTable) add(row []string) error {
	cell := func(i int) string {
		if i < 0 || i >= len(row) {
			return ""
		}
		return strings.TrimSpace(row[i])
	}
	name := cell(t.arm)
	if name == "" {
		return errors.New("the row names no arm")
	}
	converted, err := parseConverted(cell(t.converted))
	if err != nil {
		return err
	}
	value, err := parseAmount(cell(t.value))
	if err != nil {
		return err
	}
	covariate, err := parseAmount(cell(t.covariate))
	if err != nil {
		return err
	}
	at := int64(0)
	if t.time >= 0 {
		if at, err = parseMoment(cell(t.time)); err != nil {
			return err
		}
	}
	arm := slices.Index(t.arms, name)
	if arm < 0 {
		if len(t.arms) == maxArms {
			return fmt.Errorf("arm %q is one too many (%d are there): does --arm name the right column?", name, maxArms)
		}
		arm = len(t.arms)
		t.arms = append(t.arms, strings.Clone(name))
		t.sums = append(t.sums, ArmData{})
	}
	a := &t.sums[arm]
	a.All++
	a.Conversion.N++
	if converted {
		a.Conversion.Converted++
	}
	a.Value.AddWith(value, covariate)
	if t.o.costs() {
		control, sends := name == t.o.control(), 1
		if control {
			sends = 0
		}
		a.Sends += sends
		a.Net.Add(t.o.net(control, converted, value, sends))
	}
	if t.time >= 0 {
		t.d.extend(at)
		t.times = append(t.times, timed{at, value, int32(arm), converted})
	}
	return nil
}

const maxArms = 100

func (t *unitTable) finish(d *Data) error {
	if err := d.arrange(t.arms); err != nil {
		return err
	}
	place := make([]int, len(t.arms))
	for i, name := range t.arms {
		j := slices.IndexFunc(d.Arms, func(a ArmData) bool { return a.Name == name })
		place[i] = j
		sum := t.sums[i]
		sum.Name, sum.Weight = d.Arms[j].Name, d.Arms[j].Weight
		d.Arms[j] = sum
	}
	if len(t.times) > 0 {
		b := newBins(d)
		for _, r := range t.times {
			b.all(r.at, place[r.arm])
			b.mature(r.at, place[r.arm], r.converted, r.value)
		}
		d.Moments = b.cumulate()
	}
	return nil
}

func parseConverted(cell string) (bool, error) {
	switch cell {
	case "", "0", "false", "False", "FALSE", "no", "f", "F":
		return false, nil
	case "1", "true", "True", "TRUE", "yes", "t", "T":
		return true, nil
	}
	n, err := strconv.ParseFloat(cell, 64)
	if err != nil || math.IsNaN(n) || n < 0 {
		return false, fmt.Errorf("converted is %q: write 1 or 0, true or false, or a number of conversions", cell)
	}
	return n > 0, nil
}

func parseAmount(cell string) (float64, error) {
	if cell == "" {
		return 0, nil
	}
	x, err := strconv.ParseFloat(cell, 64)
	if err != nil || stats.Finite(x) != nil {
		return 0, fmt.Errorf("%q is not a number: write it like 1234.5", cell)
	}
	return x, nil
}

func parseMoment(cell string) (int64, error) {
	if ms, err := input.ParseTime([]byte(cell), ""); err == nil {
		return ms, nil
	}
	for _, layout := range []string{time.DateOnly, time.DateTime} {
		if at, err := time.Parse(layout, cell); err == nil {
			return at.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("time %q: write it as 2026-01-31, RFC 3339 or a Unix time", cell)
}
