package export

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/rules/eventtime"
)

// ReadCSV visits the exposures or conversions of an exported CSV; complain is
// told of rows that cannot be read.
func ReadCSV(name string, src io.Reader, visit func(*decisions.Decision) error, complain func(error)) error {
	rows := csv.NewReader(src)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return fmt.Errorf("%s: no header of an export: %w", name, err)
	}
	if !slices.Equal(header, rowHeader) {
		return fmt.Errorf("%s: not an export of exposures or conversions (columns %s): it has %s. A table with a row for each user, "+
			"such as an export of outcomes, is read with --csv", name, strings.Join(rowHeader, ", "), strings.Join(header, ", "))
	}
	for {
		cells, err := rows.Read()
		var malformed *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &malformed):
			complain(fmt.Errorf("%s: %w", name, err))
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
		row, err := parse(cells)
		if err != nil {
			line, _ := rows.FieldPos(0)
			complain(fmt.Errorf("%s:%d: %w", name, line, err))
			continue
		}
		d := row.decision()
		if err := visit(&d); err != nil {
			return err
		}
	}
}

func parse(cells []string) (Row, error) {
	r := Row{Experiment: cells[0], User: cells[2], Arm: cells[3], Decision: cells[4], Rule: cells[5], Again: cells[8] == "true", CommandID: cells[9]}
	phase, err := strconv.ParseInt(cells[1], 10, 32)
	if err != nil {
		return r, fmt.Errorf("phase %q is not a number", cells[1])
	}
	r.Phase = int32(phase)
	at, ok := eventtime.ParseRFC3339([]byte(cells[6]))
	if !ok {
		return r, fmt.Errorf("time %q is not an RFC 3339 time", cells[6])
	}
	r.Time = time.UnixMilli(at)
	if cells[7] != "" {
		v, err := strconv.ParseFloat(cells[7], 64)
		if err != nil {
			return r, fmt.Errorf("value %q is not a number", cells[7])
		}
		r.Value = &v
	}
	return r, nil
}

// ReadParquet visits the exposures or conversions of an exported Parquet file.
func ReadParquet(path string, visit func(*decisions.Decision) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var columns []string
	for _, c := range file.Schema().Columns() {
		columns = append(columns, strings.Join(c, "."))
	}
	if !slices.Equal(columns, rowHeader) {
		return fmt.Errorf("%s: not an export of exposures or conversions (columns %s): it has %s", path, strings.Join(rowHeader, ", "), strings.Join(columns, ", "))
	}
	r := parquet.NewGenericReader[Row](file)
	defer r.Close()
	rows := make([]Row, 1024)
	for {
		n, err := r.Read(rows)
		for i := range n {
			d := rows[i].decision()
			if err := visit(&d); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}
