// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/juju/juju/rpc/params"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
)

func TestRelationsAreReadInEveryVersionOfUniter(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		answer string
		want   juju.Relation
	}{
		"version 20 gives the other side as an object": {
			`{"id":3,"key":"etcd:certificates signet:certificates","life":"alive",
			  "endpoint":{"relation":{"name":"certificates","role":"provider","interface":"tls-certificates"}},
			  "other-application":{"model-uuid":"u","application":"etcd"}}`,
			juju.Relation{ID: 3, RemoteApp: "etcd", Endpoint: juju.Endpoint{Name: "certificates", Interface: "tls-certificates", Role: juju.Provides}},
		},
		"versions 18 and 19 as a text": {
			`{"id":3,"life":"alive","endpoint":{"relation":{"name":"upstream","role":"requirer"}},"other-application":"remote-0a1b"}`,
			juju.Relation{ID: 3, RemoteApp: "remote-0a1b", Endpoint: juju.Endpoint{Name: "upstream", Role: juju.Requires}},
		},
		"a dying relation is broken": {
			`{"id":1,"life":"dying","endpoint":{"relation":{"name":"peers","role":"peer"}},"other-application":"signet"}`,
			juju.Relation{ID: 1, RemoteApp: "signet", Broken: true, Endpoint: juju.Endpoint{Name: "peers", Role: juju.Peers}},
		},
		"so is a suspended one, which the unit agent leaves": {
			`{"id":1,"life":"alive","bool":true,"endpoint":{"relation":{"name":"peers","role":"peer"}},"other-application":"signet"}`,
			juju.Relation{ID: 1, RemoteApp: "signet", Broken: true, Endpoint: juju.Endpoint{Name: "peers", Role: juju.Peers}},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var result relationResult
			require.NoError(t, json.Unmarshal([]byte(c.answer), &result))
			require.Equal(t, c.want, relationFrom(result))
		})
	}
	var other otherSide
	require.Error(t, json.Unmarshal([]byte(`[]`), &other))
}

func TestConfigHasOnlyWhatIsSet(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		map[string]any{"text": "a", "empty": "", "flag": false, "whole": int64(365), "part": 0.5, "huge": 1e300},
		configFrom(map[string]any{"text": "a", "empty": "", "flag": false, "whole": 365.0, "part": 0.5, "huge": 1e300, "unset": nil}))
}

func TestAddressesOfAllInterfacesAreBindAddresses(t *testing.T) {
	t.Parallel()
	result := params.NetworkInfoResult{
		Info: []params.NetworkInfo{
			{Addresses: []params.InterfaceAddress{{Address: "10.0.0.1"}, {Address: "fd00::1"}}},
			{Addresses: []params.InterfaceAddress{{Address: "10.1.0.1"}}},
		},
		IngressAddresses: []string{"ca.example"}, EgressSubnets: []string{"10.0.0.0/24"},
	}
	require.Equal(t, juju.Addresses{
		Bind: []string{"10.0.0.1", "fd00::1", "10.1.0.1"}, Ingress: []string{"ca.example"}, Egress: []string{"10.0.0.0/24"},
	}, addressesFrom(result))
}

func TestASecretThatJujuWouldMangleIsRefusedWithoutItsContent(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		secret juju.Secret
		want   string
	}{
		"no label":               {juju.Secret{Content: map[string]string{"key": "hidden"}}, "without a label"},
		"no content":             {juju.Secret{Label: "ca"}, `labelled "ca": it has no content`},
		"a key too short":        {juju.Secret{Label: "ca", Content: map[string]string{"ab": "hidden"}}, `key "ab" must have at least 3`},
		"a key in capitals":      {juju.Secret{Label: "ca", Content: map[string]string{"KEY": "hidden"}}, `key "KEY" must`},
		"a key ending in hyphen": {juju.Secret{Label: "ca", Content: map[string]string{"key-": "hidden"}}, `key "key-" must`},
		"more than a megabyte":   {juju.Secret{Label: "ca", Content: map[string]string{"key": strings.Repeat("hidden", 1<<18)}}, "are more than 1000000"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := secretArgs(c.secret)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hidden")
		})
	}
}

func TestASecretsContentRoundTrips(t *testing.T) {
	t.Parallel()
	content := map[string]string{"certificate": "PEM\n", "private-key": "\x00\xff binary"}
	arg, err := secretArgs(juju.Secret{Label: "ca", Content: content})
	require.NoError(t, err)
	require.Equal(t, "ca", *arg.Label)
	require.Len(t, arg.Content.Checksum, 64)
	back, err := contentFrom(params.SecretContentResult{Content: arg.Content})
	require.NoError(t, err)
	require.Equal(t, content, back)
}

func TestAnExternalSecretBackEndIsNamed(t *testing.T) {
	t.Parallel()
	_, err := contentFrom(params.SecretContentResult{
		Content:       params.SecretContentParams{ValueRef: &params.SecretValueRef{BackendID: "b1", RevisionID: "r1"}},
		BackendConfig: &params.SecretBackendConfigResult{Config: params.SecretBackendConfig{BackendType: "vault", Params: map[string]any{"token": "hidden"}}},
	})
	require.ErrorContains(t, err, `vault secret back end "b1"`)
	require.NotContains(t, err.Error(), "hidden")
	_, err = contentFrom(params.SecretContentResult{Content: params.SecretContentParams{Data: map[string]string{"key": "not base64: hidden"}}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hidden")
}
