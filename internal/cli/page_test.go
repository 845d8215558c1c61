// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
)

// get prints what is served at a URL.
func (s *story) get(ctx context.Context, output *bytes.Buffer, args []string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fmt.Fprintf(output, "%s %s\n", response.Status, response.Header.Get("Content-Type"))
	_, err = io.Copy(output, response.Body)
	return err
}

// turn has a unit's agent take a turn, and waits for it.
func (s *story) turn(ctx context.Context, _ *bytes.Buffer, args []string) error {
	_, err := agent.Ask(ctx, place{stateDir: s.stage.stateDir(args[0])}.socket(), "turn")
	return err
}

func TestAReportTakesThePlaceOfAFileAsAWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "signet.html"), filepath.Join(t.TempDir(), "passwd")
	require.NoError(t, os.WriteFile(elsewhere, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(elsewhere, path))
	require.NoError(t, replaceFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "page")
		return err
	}))
	require.Equal(t, "precious", readText(t, elsewhere), "no link is followed")
	require.Equal(t, "page", readText(t, path))
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode())

	require.EqualError(t, replaceFile(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half of")
		return io.ErrUnexpectedEOF
	}), "cannot write "+path+": unexpected EOF")
	require.Equal(t, "page", readText(t, path), "what was there stays")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else is left")
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
