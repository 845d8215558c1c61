// SPDX-License-Identifier: AGPL-3.0-only

package httpd_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/httpd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reach asks over the network for the health, on a connection of its own.
func reach(t *testing.T, address string) (string, error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/healthz")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestListening(t *testing.T) {
	t.Parallel()
	server := serving(t, newAuthority(t, cert.P256, "ca", noon).shown(1))
	require.Empty(t, server.Addr())
	require.NoError(t, server.Close(), "nothing to close yet")
	require.NoError(t, server.Listen("127.0.0.1:0"))
	first := server.Addr()
	body, err := reach(t, first)
	require.NoError(t, err)
	require.Equal(t, "ok\n", body)
	require.NoError(t, server.Listen("127.0.0.1:0"))
	require.Equal(t, first, server.Addr(), "the same address stays")

	require.NoError(t, server.Listen("localhost:0"))
	second := server.Addr()
	require.NotEqual(t, first, second)
	_, err = reach(t, second)
	require.NoError(t, err)
	_, err = reach(t, first)
	require.Error(t, err, "the address before is given up")

	_, port, err := net.SplitHostPort(second)
	require.NoError(t, err)
	require.NoError(t, server.Listen("127.0.0.1:"+port), "the same port, by another name")
	_, err = reach(t, server.Addr())
	require.NoError(t, err)

	require.NoError(t, server.Listen(""))
	require.Empty(t, server.Addr())
	_, err = reach(t, second)
	require.Error(t, err)
	require.NoError(t, server.Listen("127.0.0.1:0"), "it can begin again")
	require.NoError(t, server.Close())
	require.NoError(t, server.Close())
}

func TestAddressesThatCannotBeHad(t *testing.T) {
	t.Parallel()
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { occupied.Close() })
	server := httpd.New(quiet(), atNoon)
	t.Cleanup(func() { server.Close() })
	require.NoError(t, server.Listen("127.0.0.1:0"))
	before := server.Addr()
	for sentence, c := range map[string]struct{ address, problem string }{
		"another program's":  {occupied.Addr().String(), "address already in use"},
		"without a port":     {"127.0.0.1", "missing port"},
		"no such port":       {"127.0.0.1:70000", "invalid port"},
		"no address of ours": {"192.0.2.1:80", "cannot assign"},
	} {
		t.Run(sentence, func(t *testing.T) {
			err := server.Listen(c.address)
			require.ErrorContains(t, err, c.problem)
			require.ErrorContains(t, err, `cannot listen at "`+c.address+`": `)
			require.ErrorContains(t, err, "set an address")
			require.NotContains(t, err.Error(), "listen tcp")
			require.Equal(t, before, server.Addr())
			_, err = reach(t, before)
			require.NoError(t, err)
		})
	}
}

// What net/http's own client would not send.
func TestRequestsOfStrangers(t *testing.T) {
	t.Parallel()
	server := serving(t, newAuthority(t, cert.P256, "ca", noon).shown(1))
	t.Cleanup(func() { server.Close() })
	require.NoError(t, server.Listen("127.0.0.1:0"))
	for sentence, c := range map[string]struct {
		request string
		code    int
	}{
		"slashes stay as they are": {"GET /ocsp//////// HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		"a whole URL":              {"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		"no path":                  {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		"a tunnel":                 {"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		"a header too long":        {"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 13<<10) + "\r\n\r\n", 431},
		"a damaged escape":         {"GET /ocsp/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"a body without an end":    {"POST /ocsp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		"a body too long":          {"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("x", 5000), 413},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			connection, err := net.Dial("tcp", server.Addr())
			require.NoError(t, err)
			defer connection.Close()
			_, err = io.WriteString(connection, c.request)
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			require.NoError(t, err)
			require.Equal(t, c.code, response.StatusCode)
		})
	}
}
