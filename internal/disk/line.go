// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/signet-charm/signet/internal/ledger"
)

// A line is exactly prefix, checksum, middle, JSON of the entries, suffix.
const (
	linePrefix = `{"sum":"`
	lineMiddle = `","entries":`
	lineSuffix = "}\n"
	sumLength  = 32 // hexadecimal digits
)

// line is one line of the journal, read.
type line struct {
	text  []byte // with its newline
	batch []ledger.Entry
	sum   string
	last  bool
	err   error
}

// abreast is how many lines are decoded side by side; a batch of them is decoded while the one before is taken in.
const abreast = 512

// decodeLines reads lines in their order. That each follows from the one before is checked of each by itself, against the sum that
// the one before says of itself, so that the lines of a long record are decoded on all processors.
func decodeLines(before string, tail []byte) iter.Seq[line] {
	return func(yield func(line) bool) {
		next := make(chan []line)
		quit := make(chan struct{})
		defer close(quit)
		go func() {
			defer close(next)
			for len(tail) > 0 {
				var lines []line
				lines, tail = cutLines(tail)
				decodeAll(before, lines)
				before = saidSum(lines[len(lines)-1].text)
				select {
				case next <- lines:
				case <-quit:
					return
				}
			}
		}()
		for lines := range next {
			for _, one := range lines {
				if !yield(one) {
					return
				}
			}
		}
	}
}

// cutLines takes lines off a text.
func cutLines(text []byte) (lines []line, rest []byte) {
	for len(text) > 0 && len(lines) < abreast {
		end := bytes.IndexByte(text, '\n') + 1
		if end == 0 {
			end = len(text)
		}
		lines, text = append(lines, line{text: text[:end], last: end == len(text)}), text[end:]
	}
	return lines, text
}

func decodeAll(before string, lines []line) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	const each = 64
	for from := 0; from < len(lines); from += each {
		group.Go(func() error {
			for i := from; i < min(from+each, len(lines)); i++ {
				follows := before
				if i > 0 {
					follows = saidSum(lines[i-1].text)
				}
				text, whole := bytes.CutSuffix(lines[i].text, []byte("\n"))
				lines[i].batch, lines[i].sum, lines[i].err = decodeLine(follows, text)
				if !whole {
					lines[i].err = errors.New("it does not end")
				}
			}
			return nil
		})
	}
	_ = group.Wait() // which has no error of its own
}

// saidSum is what a line says is its sum; empty where it says none.
func saidSum(text []byte) string {
	text, found := bytes.CutPrefix(text, []byte(linePrefix))
	if !found || len(text) < sumLength {
		return ""
	}
	return string(text[:sumLength])
}

func encodeLine(before string, batch []ledger.Entry) (line []byte, sum string, err error) {
	content, err := json.Marshal(batch)
	if err != nil {
		return nil, "", err
	}
	sum = checksum(before, content)
	line = append(line, linePrefix+sum+lineMiddle...)
	line = append(line, content...)
	return append(line, lineSuffix...), sum, nil
}

// decodeLine reads a line without its newline.
func decodeLine(before string, line []byte) (batch []ledger.Entry, sum string, err error) {
	line, found := bytes.CutPrefix(line, []byte(linePrefix))
	if !found || len(line) < sumLength {
		return nil, "", errors.New("it has no checksum")
	}
	sum, line = string(line[:sumLength]), line[sumLength:]
	line, found = bytes.CutPrefix(line, []byte(lineMiddle))
	content, closed := bytes.CutSuffix(line, []byte(lineSuffix[:1]))
	if !found || !closed {
		return nil, "", errors.New("it has no entries")
	}
	if checksum(before, content) != sum {
		return nil, "", errors.New("its checksum is wrong")
	}
	if err := json.Unmarshal(content, &batch); err != nil {
		return nil, "", errors.New("its entries cannot be decoded")
	}
	for i := range batch {
		batch[i].Time = batch[i].Time.UTC()
		if !batch[i].NotAfter.IsZero() {
			batch[i].NotAfter = batch[i].NotAfter.UTC()
		}
	}
	return batch, sum, nil
}

func checksum(before string, content []byte) string {
	sum := sha256.New()
	_, _ = io.WriteString(sum, before+"\n")
	_, _ = sum.Write(content)
	return hex.EncodeToString(sum.Sum(nil))[:sumLength]
}
