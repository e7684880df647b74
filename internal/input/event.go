package input

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules/eventtime"
)

// unitSeparator joins the fields of a CSV row where an id is derived from them.
const unitSeparator = 0x1f

// derivedBytes is how much of the SHA-256 a derived id keeps: 64 bits.
const derivedBytes = 8

// event is one canonical event under construction. Its buffers are reused from
// record to record.
type event struct {
	w       jx.Writer
	content []byte // what an id is derived from
}

// appendDerivedID appends an id that depends on the record's content and place
// alone, so that reading the same file again gives the same ids: the hex of the
// first 8 bytes of SHA-256 of "<row>:<content>", where row counts the data rows
// of the file from 1.
func appendDerivedID(dst, content []byte) []byte {
	sum := sha256.Sum256(content)
	return hex.AppendEncode(dst, sum[:derivedBytes])
}

// contentOf begins the content of a row: its number and a colon.
func (e *event) contentOf(row int64) {
	e.content = strconv.AppendInt(e.content[:0], row, 10)
	e.content = append(e.content, ':')
}

// head writes the four canonical fields. An empty id is replaced by one derived
// from e.content.
func (e *event) head(id, typ, user []byte, unixMilli int64) {
	e.w.Buf = append(e.w.Buf[:0], `{"id":`...)
	if len(id) == 0 {
		e.w.Buf = append(e.w.Buf, '"')
		e.w.Buf = appendDerivedID(e.w.Buf, e.content)
		e.w.Buf = append(e.w.Buf, '"')
	} else {
		e.w.ByteStr(id)
	}
	e.w.Buf = append(e.w.Buf, `,"type":`...)
	e.w.ByteStr(typ)
	e.w.Buf = append(e.w.Buf, `,"user":`...)
	e.w.ByteStr(user)
	e.w.Buf = append(e.w.Buf, `,"time":"`...)
	e.w.Buf = eventtime.AppendRFC3339(e.w.Buf, unixMilli)
	e.w.Buf = append(e.w.Buf, '"')
}

// fieldKey appends ,"name":
func fieldKey(dst, name []byte) []byte {
	w := jx.Writer{Buf: append(dst, ',')}
	w.ByteStr(name)
	return append(w.Buf, ':')
}

// renamed looks a type up among the renames.
func (p *plan) renamed(typ []byte) []byte {
	if to, ok := p.types[string(typ)]; ok {
		return to
	}
	return typ
}

var (
	errNotUTF8 = errors.New("the record is not UTF-8: convert the file, for example with iconv -t UTF-8")
	errNUL     = errors.New("the user id holds a NUL, which no arm can be assigned to: remove it")
)
