// Package export writes what nudged decided about experiments as CSV and
// Parquet: exposures, conversions, and what became of each user.
package export

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/rules/eventtime"
)

// Row is one exposure or one conversion. Times are in UTC, to the millisecond.
type Row struct {
	Experiment string    `parquet:"experiment,dict"`
	Phase      int32     `parquet:"phase"`
	User       string    `parquet:"user"`
	Arm        string    `parquet:"arm,dict"`
	Decision   string    `parquet:"decision,dict"` // sent, control, holdout; converted
	Rule       string    `parquet:"rule,dict"`
	Time       time.Time `parquet:"time,timestamp(millisecond)"`
	Value      *float64  `parquet:"value,optional"` // of a conversion
	Again      bool      `parquet:"again"`          // not the user's first conversion
	CommandID  string    `parquet:"command_id"`
}

// Outcome is what became of one exposed user.
type Outcome struct {
	Experiment      string     `parquet:"experiment,dict"`
	Phase           int32      `parquet:"phase"`
	User            string     `parquet:"user"`
	Arm             string     `parquet:"arm,dict"`
	Exposed         time.Time  `parquet:"exposed,timestamp(millisecond)"`
	Mature          bool       `parquet:"mature"`
	Converted       bool       `parquet:"converted"`
	Conversions     int32      `parquet:"conversions"`
	FirstConversion *time.Time `parquet:"first_conversion,optional,timestamp(millisecond)"`
	Value           float64    `parquet:"value"`
	Sends           int32      `parquet:"sends"`
}

// rowHeader and outcomeHeader are the columns of the CSVs.
var (
	rowHeader     = []string{"experiment", "phase", "user", "arm", "decision", "rule", "time", "value", "again", "command_id"}
	outcomeHeader = []string{"experiment", "phase", "user", "arm", "exposed", "mature", "converted", "conversions", "first_conversion", "value", "sends"}
)

func (r Row) cells() []string {
	value := ""
	if r.Value != nil {
		value = strconv.FormatFloat(*r.Value, 'g', -1, 64)
	}
	return []string{r.Experiment, strconv.Itoa(int(r.Phase)), r.User, r.Arm, r.Decision, r.Rule, text(r.Time), value, strconv.FormatBool(r.Again), r.CommandID}
}

func (o Outcome) cells() []string {
	first := ""
	if o.FirstConversion != nil {
		first = text(*o.FirstConversion)
	}
	return []string{
		o.Experiment, strconv.Itoa(int(o.Phase)), o.User, o.Arm, text(o.Exposed), strconv.FormatBool(o.Mature), strconv.FormatBool(o.Converted),
		strconv.Itoa(int(o.Conversions)), first, strconv.FormatFloat(o.Value, 'g', -1, 64), strconv.Itoa(int(o.Sends)),
	}
}

func text(t time.Time) string { return string(eventtime.AppendRFC3339(nil, t.UnixMilli())) }

// Writer takes rows one by one.
type Writer[T any] interface {
	Write(T) error
	// Close writes what is left, and a Parquet's footer; it does not close the
	// file.
	Close() error
}

// NewWriter returns a writer of a format, csv or parquet, for Rows or Outcomes.
func NewWriter[T interface {
	Row | Outcome
	cells() []string
}](w io.Writer, format string) (Writer[T], error) {
	switch format {
	case "csv":
		out := csv.NewWriter(w)
		header := rowHeader
		if _, ok := any(*new(T)).(Outcome); ok {
			header = outcomeHeader
		}
		return &csvWriter[T]{out}, out.Write(header)
	case "parquet":
		return &parquetWriter[T]{out: parquet.NewGenericWriter[T](w, parquet.Compression(&parquet.Zstd))}, nil
	}
	return nil, fmt.Errorf("there is no format %q: use csv or parquet", format)
}

type csvWriter[T interface{ cells() []string }] struct{ out *csv.Writer }

func (c *csvWriter[T]) Write(row T) error { return c.out.Write(row.cells()) }

func (c *csvWriter[T]) Close() error {
	c.out.Flush()
	return c.out.Error()
}

// rowGroup bounds what is held in memory of a Parquet file; batch rows are handed
// over at once, as each hand-over costs.
const (
	rowGroup = 128 * batch
	batch    = 1024
)

type parquetWriter[T any] struct {
	out  *parquet.GenericWriter[T]
	rows []T
	n    int
}

func (p *parquetWriter[T]) Write(row T) error {
	if p.rows = append(p.rows, row); len(p.rows) < batch {
		return nil
	}
	if err := p.hand(); err != nil {
		return err
	}
	if p.n%rowGroup == 0 {
		return p.out.Flush()
	}
	return nil
}

func (p *parquetWriter[T]) hand() error {
	n, err := p.out.Write(p.rows)
	p.n += n
	p.rows = p.rows[:0]
	return err
}

func (p *parquetWriter[T]) Close() error {
	if err := p.hand(); err != nil {
		return err
	}
	return p.out.Close()
}

// RowOf makes a row of a decision. It keeps nothing of d.
func RowOf(d *decisions.Decision, converted bool) Row {
	r := Row{
		Experiment: string(d.Experiment), Phase: int32(d.Phase), User: string(d.User), Arm: string(d.Arm), Decision: string(d.Kind),
		Rule: string(d.Rule), Time: time.UnixMilli(d.Fired).UTC(), Again: d.Again, CommandID: string(d.CommandID),
	}
	if converted {
		v := d.Value
		r.Value = &v
	}
	return r
}

// decision turns a row back.
func (r *Row) decision() decisions.Decision {
	d := decisions.Decision{
		Kind: []byte(r.Decision), CommandID: []byte(r.CommandID), Rule: []byte(r.Rule), User: []byte(r.User), Experiment: []byte(r.Experiment),
		Arm: []byte(r.Arm), Phase: int(r.Phase), Again: r.Again, Fired: r.Time.UnixMilli(),
	}
	if r.Value != nil {
		d.Value = *r.Value
	}
	return d
}
