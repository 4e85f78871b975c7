//! What the engine has counted, for whoever asks. Names and labels are Envoy's.

use serde_json::{json, Value};

use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::stats::{Histogram, Responses};

/// Load of a cluster: name, average concurrency, requests begun, the same two of those that came through the activator.
pub type Load = (String, f64, u64, f64, u64);

#[derive(Default)]
struct Report {
    counters: Vec<Value>,
    gauges: Vec<Value>,
    histograms: Vec<Value>,
}

impl Report {
    fn counter(&mut self, name: &str, labels: &Value, value: u64) {
        self.counters.push(json!([name, labels, value]));
    }

    fn gauge(&mut self, name: &str, labels: &Value, value: u64) {
        self.gauges.push(json!([name, labels, value]));
    }

    fn responses(&mut self, name: &str, labels: &Value, responses: &Responses) {
        for (class, count) in responses.classes() {
            let mut labels = labels.clone();
            if let Some(labels) = labels.as_object_mut() {
                labels.insert("envoy_response_code_class".to_owned(), json!(class.to_string()));
            }
            self.counter(name, &labels, count);
        }
    }

    /// Report what is known of the health of a cluster's endpoints, where anybody looks at it.
    fn health(&mut self, cluster: &Cluster, labels: &Value) {
        let counters = &cluster.counters;
        if cluster.config.outlier.is_some() {
            let prefix = "envoy_cluster_outlier_detection_ejections";
            self.gauge(&format!("{prefix}_active"), labels, cluster.ejected() as u64);
            self.counter(&format!("{prefix}_enforced_total"), labels, counters.ejections.enforced_total());
            self.counter(&format!("{prefix}_overflow"), labels, counters.ejections.overflow);
            for (offence, detected, enforced) in counters.ejections.offences() {
                self.counter(&format!("{prefix}_detected_{offence}"), labels, detected);
                self.counter(&format!("{prefix}_enforced_{offence}"), labels, enforced);
            }
        }
        if cluster.config.health_check.is_some() {
            let (_, healthy) = cluster.membership();
            self.counter("envoy_cluster_health_check_attempt", labels, counters.checks);
            self.counter("envoy_cluster_health_check_success", labels, counters.checks_well);
            self.counter("envoy_cluster_health_check_failure", labels, counters.checks_failed);
            self.counter("envoy_cluster_health_check_network_failure", labels, counters.checks_silent);
            self.gauge("envoy_cluster_health_check_healthy", labels, healthy as u64);
        }
    }

    fn histogram(&mut self, name: &str, labels: &Value, histogram: &Histogram) {
        let buckets: Vec<Value> = histogram.cumulative().map(|(bound, count)| json!([bound, count])).collect();
        self.histograms.push(json!([name, labels, buckets, histogram.sum_ms(), histogram.count()]));
    }
}

impl Engine {
    /// Return all counters, gauges and histograms as JSON.
    pub fn stats(&self) -> Vec<u8> {
        let mut report = Report::default();
        for (name, count) in [("success", self.keys_fetched), ("failed", self.keys_failed)] {
            if count > 0 {
                report.counter(&format!("envoy_http_jwt_authn_jwks_fetch_{name}"), &json!({}), count);
            }
        }
        for listener in &self.listeners {
            let labels = json!({"envoy_http_conn_manager_prefix": listener.config.name});
            let counters = &listener.counters;
            report.counter("envoy_http_downstream_cx_total", &labels, counters.cx_total);
            report.gauge("envoy_http_downstream_cx_active", &labels, counters.cx_active);
            report.counter("envoy_http_downstream_cx_protocol_error", &labels, counters.protocol_error);
            report.counter("eventmesh_downstream_cx_tls_refused", &labels, counters.tls_refused);
            if listener.tls.is_some() {
                report.counter("envoy_listener_ssl_handshake", &labels, counters.tls_handshake);
                report.counter("envoy_listener_ssl_connection_error", &labels, counters.tls_error);
            }
            report.counter("envoy_http_downstream_rq_total", &labels, counters.rq_total);
            report.gauge("envoy_http_downstream_rq_active", &labels, counters.rq_active);
            report.responses("envoy_http_downstream_rq_xx", &labels, &counters.responses);
            report.histogram("envoy_http_downstream_rq_time", &labels, &counters.time);
            for (name, count) in counters.filters.named().into_iter().filter(|(_, count)| *count > 0) {
                report.counter(&format!("envoy_http_{name}"), &labels, count);
            }
        }
        if self.spans.is_wanted() {
            let labels = json!({});
            report.counter("eventmesh_tracing_spans_recorded_total", &labels, self.spans.recorded);
            report.counter("eventmesh_tracing_spans_dropped_total", &labels, self.spans.dropped);
        }
        self.cluster_stats(&mut report);
        for route in &self.labels {
            let labels = json!({"envoy_virtual_host": route.host, "envoy_route": route.name});
            report.counter("envoy_vhost_route_upstream_rq_total", &labels, route.rq_total);
            report.responses("envoy_vhost_route_upstream_rq_xx", &labels, &route.responses);
            report.histogram("envoy_vhost_route_upstream_rq_time", &labels, &route.time);
        }
        let all = json!({"counters": report.counters, "gauges": report.gauges, "histograms": report.histograms});
        all.to_string().into_bytes()
    }

    fn cluster_stats(&self, report: &mut Report) {
        for cluster in self.clusters.iter().filter(|cluster| !cluster.gone) {
            let labels = json!({"envoy_cluster_name": &*cluster.name});
            let counters = &cluster.counters;
            report.counter("envoy_cluster_upstream_cx_total", &labels, counters.cx_total);
            report.counter("envoy_cluster_upstream_cx_connect_fail", &labels, counters.cx_connect_fail);
            if cluster.tls.is_some() {
                report.counter("envoy_cluster_ssl_handshake", &labels, counters.tls_handshake);
                report.counter("envoy_cluster_ssl_connection_error", &labels, counters.tls_error);
            }
            report.gauge("envoy_cluster_upstream_cx_active", &labels, cluster.connections as u64);
            report.counter("envoy_cluster_upstream_rq_total", &labels, counters.rq_total);
            report.gauge("envoy_cluster_upstream_rq_active", &labels, cluster.in_flight as u64);
            report.counter("envoy_cluster_upstream_rq_timeout", &labels, counters.rq_timeout);
            report.counter("envoy_cluster_upstream_rq_retry", &labels, counters.rq_retry);
            report.counter("envoy_cluster_upstream_rq_retry_success", &labels, counters.rq_retry_success);
            report.counter("envoy_cluster_upstream_rq_retry_overflow", &labels, counters.rq_retry_overflow);
            report.counter("envoy_cluster_upstream_rq_retry_limit_exceeded", &labels, counters.rq_retry_limit_exceeded);
            report.counter("envoy_cluster_upstream_rq_per_try_timeout", &labels, counters.rq_per_try_timeout);
            report.responses("envoy_cluster_retry_upstream_rq_xx", &labels, &counters.retry_responses);
            report.counter("envoy_cluster_upstream_cx_overflow", &labels, counters.cx_overflow);
            for (breaker, open) in cluster.breakers() {
                let name = format!("envoy_cluster_circuit_breakers_default_{breaker}");
                report.gauge(&name, &labels, u64::from(open));
            }
            report.counter("envoy_cluster_upstream_rq_pending_total", &labels, counters.pending_total);
            report.counter("envoy_cluster_upstream_rq_active_overflow", &labels, counters.active_overflow);
            report.counter("envoy_cluster_upstream_rq_pending_overflow", &labels, counters.pending_overflow);
            if counters.mirror_overflow > 0 {
                report.counter("eventmesh_cluster_mirror_overflow", &labels, counters.mirror_overflow);
            }
            report.gauge(
                "envoy_cluster_upstream_rq_pending_active",
                &labels,
                (cluster.waiting + cluster.boarding) as u64,
            );
            let (all, healthy) = cluster.membership();
            report.gauge("envoy_cluster_membership_total", &labels, all as u64);
            report.gauge("envoy_cluster_membership_healthy", &labels, healthy as u64);
            report.counter("envoy_cluster_lb_healthy_panic", &labels, counters.healthy_panic);
            report.health(cluster, &labels);
            report.responses("envoy_cluster_upstream_rq_xx", &labels, &counters.responses);
            report.histogram("envoy_cluster_upstream_rq_time", &labels, &counters.time);
        }
    }

    /// Return the load of every cluster with traffic since the last call.
    pub fn take_load(&mut self, now: f64) -> Vec<Load> {
        let loads = self.clusters.iter_mut().filter_map(|cluster| {
            let (average, begun, proxied_average, proxied_begun) = cluster.load.take(now)?;
            Some((cluster.config.name.clone(), average, begun, proxied_average, proxied_begun))
        });
        loads.collect()
    }

    /// Return and forget the access-log lines, as (path, lines).
    pub fn take_access_log(&mut self) -> Vec<(String, Vec<u8>)> {
        self.log.take()
    }
}
