// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"fmt"
	"strings"

	"github.com/juju/juju/rpc/params"

	"github.com/signet-charm/signet/internal/juju"
)

// readGiven reads one of the operator's secrets, by calls of its own: whatever the controller answers to them is about this
// secret, and harms neither another nor the snapshot. An error is about the connection.
func (c *client) readGiven(uri string) (juju.Given, error) {
	result, err := c.readLatest(uri)
	if err != nil && !answered(err) {
		return juju.Given{}, fmt.Errorf("cannot read %s: %w", uri, err)
	}
	var content map[string]string
	if err == nil {
		content, err = contentFrom(result)
	}
	switch {
	case err == nil:
		return juju.Given{Content: content}, nil
	case code(err) == params.CodeUnauthorized:
		return juju.NotGranted(uri, c.app.Id()), nil
	case absent(err):
		return juju.NoSuchSecret(uri), nil
	}
	return juju.Unreadable(uri, err.Error()), nil
}

// readLatest reads the newest revision of one secret, and tells the controller so once for each: see readContents.
func (c *client) readLatest(uri string) (params.SecretContentResult, error) {
	latest := 0
	switch revisions, err := c.latestRevisions([]string{uri}); {
	case err == nil:
		latest = revisions[0]
	case !answered(err):
		return params.SecretContentResult{}, err
	}
	id := strings.TrimPrefix(uri, "secret:")
	refresh := latest == 0 || c.revision(id) != latest
	args := params.GetSecretContentArgs{Args: []params.GetSecretContentArg{{URI: uri, Refresh: refresh, Peek: !refresh}}}
	var results params.SecretContentResults
	if err := c.call("SecretsManager", "GetSecretContentInfo", args, &results); err != nil {
		return params.SecretContentResult{}, err
	}
	if err := expect(1, len(results.Results), "secrets"); err != nil {
		return params.SecretContentResult{}, err
	}
	if results.Results[0].Error == nil {
		c.track(id, latest)
	}
	return results.Results[0], nil
}
