//! How every endpoint fares, for whoever asks: what Envoy's `/clusters` tells (`envoy/admin/v3/clusters.proto`).

use std::collections::HashMap;

use serde_json::{json, Value};

use crate::cluster::Endpoint;
use crate::engine::connection::Role;
use crate::engine::Engine;

/// The label of an endpoint that Envoy shows, as labels are spelled.
const CANARY: (&str, &str) = ("canary", "true");

impl Engine {
    /// Return every cluster and its endpoints as JSON (`Engine.cluster_statuses` in `_core.pyi`).
    pub fn cluster_statuses(&self) -> Vec<u8> {
        let boarding = self.boarding();
        let known = self.clusters.iter().enumerate().filter(|(_, cluster)| !cluster.gone);
        let rows: Vec<Value> = known
            .map(|(number, cluster)| {
                let endpoints = cluster.endpoints.iter().enumerate().filter(|(_, endpoint)| !endpoint.gone);
                let endpoints: Vec<Value> = endpoints
                    .map(|(at, endpoint)| status(endpoint, boarding.get(&(number, at)).copied().unwrap_or(0)))
                    .collect();
                json!({
                    "name": &*cluster.name,
                    "judges": cluster.config.outlier.is_some(),
                    "success_rate_average": cluster.success_rates.map(|rates| rates.average),
                    "success_rate_threshold": cluster.success_rates.map(|rates| rates.threshold),
                    "endpoints": endpoints,
                })
            })
            .collect();
        Value::from(rows).to_string().into_bytes()
    }

    /// Return how many requests wait for a connection to each endpoint that is being made, by cluster and endpoint.
    fn boarding(&self) -> HashMap<(usize, usize), usize> {
        let mut found = HashMap::new();
        for conn in self.connections.ids().filter_map(|id| self.connections.get(id)) {
            if let Role::Upstream { cluster, endpoint } = conn.role {
                *found.entry((cluster, endpoint)).or_default() += conn.boarding.len();
            }
        }
        found
    }
}

fn status(endpoint: &Endpoint, boarding: usize) -> Value {
    let counters = &endpoint.counters;
    json!({
        "address": &*endpoint.address,
        "counters": {
            "cx_connect_fail": counters.cx_connect_fail,
            "cx_total": counters.cx_total,
            "rq_error": counters.rq_error,
            "rq_success": counters.rq_success,
            "rq_timeout": counters.rq_timeout,
            "rq_total": counters.rq_total,
        },
        "gauges": {
            "cx_active": endpoint.connections,
            "rq_active": endpoint.in_flight.saturating_sub(boarding),
            "rq_pending_active": boarding,
        },
        "flags": endpoint.flags().collect::<Vec<_>>(),
        "weight": endpoint.weight,
        "priority": endpoint.priority,
        "locality": &*endpoint.locality,
        "canary": endpoint.metadata.iter().any(|(name, value)| (name.as_str(), value.as_str()) == CANARY),
        "success_rate": endpoint.conduct.success_rate,
    })
}
