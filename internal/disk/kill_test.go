// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/order"
)

// writerVariable makes this test program install one bundle after the other, until it is killed.
const writerVariable = "SIGNET_TEST_WRITER"

func TestMain(m *testing.M) {
	if from := os.Getenv(writerVariable); from != "" {
		err := alternate(from)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// alternate installs two pairs in turn, and says so after each.
func alternate(from string) error {
	folder, err := disk.Open(filepath.Join(from, "state"))
	if err != nil {
		return err
	}
	var bundles []order.Install
	for _, name := range []string{"one", "two"} {
		certificate, certErr := os.ReadFile(filepath.Join(from, name+".crt"))
		key, keyErr := os.ReadFile(filepath.Join(from, name+".key"))
		if certErr != nil || keyErr != nil {
			return fmt.Errorf("%w %w", certErr, keyErr)
		}
		bundles = append(bundles, bundle("", order.File{Name: "server.crt", Text: string(certificate)},
			order.File{Name: "server.key", Key: cert.NewKey(string(key))}))
	}
	for n := 0; ; n++ {
		if answer := folder.Carry(context.Background(), bundles[n%2]); answer.Failure != nil {
			return answer.Failure
		}
		fmt.Println("installed", n)
	}
}

// A process that swaps pairs without a pause is killed (SIGKILL) again and again. Whoever opens the folder behind the
// link finds a certificate and its own key, at every instant; the next process goes on from there.
func TestKeyAndCertificateAgreeUnderKill(t *testing.T) {
	t.Parallel()
	const kills = 25
	from := private(t)
	for _, name := range []string{"one", "two"} {
		key := newKey(t)
		require.NoError(t, os.WriteFile(filepath.Join(from, name+".crt"), []byte(selfSigned(t, key)), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(from, name+".key"), []byte(key.Reveal()), 0o600))
	}
	link := filepath.Join(from, "state", "files", "certificates")
	looked := 0
	for round := range kills {
		writer := exec.Command(os.Args[0])
		writer.Env = append(os.Environ(), writerVariable+"="+from)
		output, err := writer.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, writer.Start())
		lines := bufio.NewScanner(output)
		for range 1 + round%4 { // it is killed at another point each time
			require.True(t, lines.Scan(), "the writer goes on where the one before it was killed")
			if agrees(t, link) {
				looked++
			}
		}
		for range round * 7 {
			if agrees(t, link) {
				looked++
			}
		}
		require.NoError(t, writer.Process.Kill())
		_ = writer.Wait()
		require.True(t, agrees(t, link), "nobody writes now")
	}
	require.Greater(t, looked, kills)
}

// agrees opens the folder behind the link and reads the pair in it; false when it was pruned meanwhile, as a later one is
// in its place.
func agrees(t *testing.T, link string) bool {
	folder, err := os.OpenRoot(link)
	if os.IsNotExist(err) {
		_, err := os.Lstat(link)
		require.NoError(t, err, "there is always one")
		return false
	}
	require.NoError(t, err)
	defer folder.Close()
	certificate, certErr := folder.ReadFile("server.crt")
	key, keyErr := folder.ReadFile("server.key")
	if os.IsNotExist(certErr) || os.IsNotExist(keyErr) {
		return false
	}
	require.NoError(t, certErr)
	require.NoError(t, keyErr)
	leaf, err := cert.Parse(strings.TrimSpace(string(certificate)))
	require.NoError(t, err)
	require.True(t, cert.KeyMatches(cert.NewKey(string(key)), leaf))
	return true
}
