package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"kind-local-registry/webhook"
)

// answerStream reads AdmissionReviews from in and answers each with one line on out. The reviews are consecutive JSON documents
// of at most webhook.MaxReview bytes; every line that begins with "{" begins a new document. A document that cannot be answered
// is reported to fault with the number of its first line, and answering continues with the next document. answerStream fails only
// if in cannot be read, out cannot be written, or ctx ends.
func answerStream(
	ctx context.Context, h *webhook.Handler, in io.Reader, out io.Writer, fault func(line int, err error),
) error {
	stream := &documents{lines: bufio.NewReader(in)}
	for ctx.Err() == nil {
		chunk, line, err := stream.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading line %d: %w", line, err)
		}
		if len(chunk) > webhook.MaxReview {
			fault(line, fmt.Errorf("the document is larger than %d bytes", webhook.MaxReview))
			continue
		}
		if err := answerChunk(ctx, h, chunk, out, func(err error) { fault(line, err) }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// answerChunk answers the documents in chunk, which usually contains one.
func answerChunk(ctx context.Context, h *webhook.Handler, chunk []byte, out io.Writer, fault func(error)) error {
	decoder := json.NewDecoder(bytes.NewReader(chunk))
	for {
		var document json.RawMessage
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			fault(fmt.Errorf("not JSON: %w", err))
			return nil
		}
		answer, err := h.Answer(ctx, document)
		if err != nil {
			fault(err)
			continue
		}
		if _, err := out.Write(append(answer, '\n')); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	}
}

// documents splits a stream before each line that begins with "{".
type documents struct {
	lines *bufio.Reader
	read  int // number of lines read so far
}

// next returns the next chunk and the number of its first line. A larger chunk is cut off after webhook.MaxReview + 1 bytes.
func (d *documents) next() (chunk []byte, line int, err error) {
	line = d.read + 1
	for begun := false; ; begun = true {
		if begun && d.atDocument() {
			return chunk, line, nil
		}
		chunk, err = d.readLine(chunk)
		if errors.Is(err, io.EOF) && len(chunk) > 0 {
			return chunk, line, nil
		}
		if err != nil {
			return nil, line, err
		}
	}
}

// atDocument reports whether the next line begins a document.
func (d *documents) atDocument() bool {
	first, err := d.lines.Peek(1)
	return err == nil && first[0] == '{'
}

// readLine appends the next line to chunk, up to a total of webhook.MaxReview + 1 bytes.
func (d *documents) readLine(chunk []byte) ([]byte, error) {
	for {
		part, err := d.lines.ReadSlice('\n')
		if room := webhook.MaxReview + 1 - len(chunk); len(part) > room {
			part = part[:max(room, 0)]
		}
		chunk = append(chunk, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		d.read++
		return chunk, err
	}
}
