//! What the services behind the pages do when they are called.

use log_tracer_proto::otlp::{logs::SeverityNumber, trace::span::SpanKind};
use rand::RngExt;

use super::{
    Trace, Visitor,
    calls::{cache, rpc, sql},
};
use crate::workload::{
    Service,
    recorder::{Open, attribute},
};

pub(super) fn list_products(trace: &mut Trace<'_>, page: &mut Open, count: i64) {
    rpc(
        trace,
        page,
        Service::Catalog,
        "shop.Catalog/ListProducts",
        |trace, server| {
            trace.set(server, "app.products.count", count);
            cache(trace, server, "GET", "products:front");
            if trace.rng.random_bool(0.3) {
                sql(
                    trace,
                    server,
                    "SELECT",
                    "products",
                    "SELECT id, name, price FROM products ORDER BY rank LIMIT $1",
                    7.0,
                    count,
                );
                cache(trace, server, "SET", "products:front");
            }
        },
    );
}

pub(super) fn recommend(trace: &mut Trace<'_>, page: &mut Open, visitor: &Visitor) {
    rpc(
        trace,
        page,
        Service::Recommendation,
        "shop.Recommendation/List",
        |trace, server| {
            trace.set(server, "user.id", visitor.user.as_str());
            let mut model = trace.child(server, SpanKind::Internal, "rank candidates");
            trace.set(&model, "app.model.version", "2026-10");
            trace.work(&mut model, 22.0);
            trace.close_into(model, server);
            if trace.rng.random_bool(0.02) {
                trace.fail(
                    server,
                    "ValueError",
                    "feature vector has 127 dimensions, the model wants 128",
                );
                trace.log(
                server,
                SeverityNumber::Error,
                "ranking failed, answering with the best sellers\nTraceback (most recent call last):\n  File \"rank.py\", line 88, in rank\nValueError: feature vector has 127 dimensions, the model wants 128".to_owned(),
                vec![attribute("user.id", visitor.user.as_str()), attribute("exception.type", "ValueError")],
            );
            }
        },
    );
}

pub(super) fn cart_of(trace: &mut Trace<'_>, caller: &mut Open, visitor: &Visitor) {
    rpc(
        trace,
        caller,
        Service::Cart,
        "shop.Cart/GetCart",
        |trace, server| {
            trace.set(server, "user.id", visitor.user.as_str());
            cache(trace, server, "HGETALL", &format!("cart:{}", visitor.user));
        },
    );
}

pub(super) fn convert(trace: &mut Trace<'_>, caller: &mut Open, visitor: &Visitor, amount: f64) {
    rpc(
        trace,
        caller,
        Service::Currency,
        "shop.Currency/Convert",
        |trace, server| {
            trace.set(server, "app.currency.from", "EUR");
            trace.set(server, "app.currency.to", visitor.currency);
            trace.set(server, "app.amount", amount);
            trace.work(server, 0.4);
        },
    );
}

pub(super) fn reserve_stock(trace: &mut Trace<'_>, caller: &mut Open) {
    rpc(
        trace,
        caller,
        Service::Inventory,
        "shop.Inventory/Commit",
        |trace, server| {
            let lines = i64::from(trace.rng.random_range(1..5));
            for _ in 0..lines {
                sql(
                    trace,
                    server,
                    "UPDATE",
                    "stock",
                    "UPDATE stock SET available = available - $2 WHERE product_id = $1",
                    3.0,
                    1,
                );
            }
            if trace.rng.random_bool(0.07) {
                trace.log(
                    server,
                    SeverityNumber::Warn,
                    "waiting for a row lock on stock held by another order".to_owned(),
                    vec![attribute("db.collection.name", "stock")],
                );
                let mut wait = trace.child(server, SpanKind::Internal, "wait for row lock");
                trace.work(&mut wait, 1_400.0);
                trace.close_into(wait, server);
            }
        },
    );
}

pub(super) fn quote(trace: &mut Trace<'_>, caller: &mut Open) {
    rpc(
        trace,
        caller,
        Service::Shipping,
        "shop.Shipping/Quote",
        |trace, server| {
            trace.work(server, 9.0);
            let days = i64::from(trace.rng.random_range(1..6));
            trace.log(
                server,
                SeverityNumber::Info,
                format!("delivery in {days} days"),
                vec![attribute("app.shipping.days", days)],
            );
        },
    );
}

pub(super) fn check_fraud(
    trace: &mut Trace<'_>,
    caller: &mut Open,
    visitor: &Visitor,
    amount: f64,
) {
    rpc(
        trace,
        caller,
        Service::Fraud,
        "shop.Fraud/Score",
        |trace, server| {
            trace.set(server, "user.id", visitor.user.as_str());
            trace.work(server, 18.0);
            let score = f64::from(trace.rng.random_range(0..1_000)) / 1_000.0;
            trace.set(server, "app.fraud.score", score);
            if score > 0.97 {
                trace.log(
                    server,
                    SeverityNumber::Warn,
                    format!("order over {amount:.2} looks like fraud"),
                    vec![
                        attribute("app.fraud.score", score),
                        attribute("user.id", visitor.user.as_str()),
                    ],
                );
            }
        },
    );
}

pub(super) fn pay(trace: &mut Trace<'_>, caller: &mut Open, order: &str, amount: f64) {
    let mut declined = false;
    rpc(
        trace,
        caller,
        Service::Payment,
        "shop.Payment/Charge",
        |trace, server| {
            trace.set(server, "app.order.id", order);
            trace.set(server, "app.amount", amount);
            // A gateway that times out is asked a second time.
            for attempt in 1..=2_i64 {
                let mut call = trace.child(server, SpanKind::Client, "POST");
                trace.set(&call, "http.request.method", "POST");
                trace.set(&call, "server.address", "cards.example");
                trace.set(&call, "url.full", "https://cards.example/v1/charges");
                trace.set(&call, "http.request.resend_count", attempt - 1);
                trace.work(&mut call, 120.0);
                let slow = attempt == 1 && trace.rng.random_bool(0.05);
                if slow {
                    trace.work(&mut call, 1_900.0);
                    trace.fail(
                        &mut call,
                        "TimeoutError",
                        "cards.example did not answer within 2 s",
                    );
                    trace.log(
                        &call,
                        SeverityNumber::Warn,
                        format!("charge of order {order} timed out, trying again"),
                        vec![
                            attribute("app.order.id", order),
                            attribute("retry.attempt", attempt),
                        ],
                    );
                    trace.close_into(call, server);
                    continue;
                }
                declined = trace.rng.random_bool(0.05);
                trace.set(
                    &call,
                    "http.response.status_code",
                    if declined { 402 } else { 201 },
                );
                trace.close_into(call, server);
                break;
            }
            if declined {
                trace.fail(
                    server,
                    "CardDeclined",
                    "the card was declined: insufficient funds",
                );
                trace.log(
                    server,
                    SeverityNumber::Error,
                    format!("payment of order {order} refused: card declined"),
                    vec![
                        attribute("app.order.id", order),
                        attribute("error.type", "CardDeclined"),
                    ],
                );
            } else {
                trace.log(
                    server,
                    SeverityNumber::Info,
                    format!("charged {amount:.2} EUR for order {order}"),
                    vec![
                        attribute("app.order.id", order),
                        attribute("app.amount", amount),
                    ],
                );
            }
        },
    );
    if declined {
        trace.fail_quietly(caller, "payment failed");
    }
}

pub(super) fn store_order(trace: &mut Trace<'_>, caller: &mut Open) {
    let mut transaction = trace.child(caller, SpanKind::Internal, "store order");
    sql(
        trace,
        &mut transaction,
        "INSERT",
        "orders",
        "INSERT INTO orders (id, user_id, total) VALUES ($1, $2, $3)",
        5.0,
        1,
    );
    sql(
        trace,
        &mut transaction,
        "INSERT",
        "order_lines",
        "INSERT INTO order_lines (order_id, product_id, quantity) VALUES ($1, $2, $3)",
        6.0,
        3,
    );
    trace.close_into(transaction, caller);
}

/// Puts a message on a queue; the mail goes out later, after the customer has the answer.
pub(super) fn send_mail(trace: &mut Trace<'_>, caller: &mut Open, order: &str, visitor: &Visitor) {
    let mut publish = trace.child(caller, SpanKind::Producer, "send mail.orders");
    trace.set(&publish, "messaging.system", "nats");
    trace.set(&publish, "messaging.destination.name", "mail.orders");
    trace.work(&mut publish, 1.2);
    let mut consume = trace.remote(
        &publish,
        Service::Email,
        SpanKind::Consumer,
        "process mail.orders",
    );
    trace.set(&consume, "messaging.system", "nats");
    trace.set(&consume, "messaging.destination.name", "mail.orders");
    trace.set(&consume, "app.order.id", order);
    trace.work(&mut consume, 45.0);
    trace.log(
        &consume,
        SeverityNumber::Info,
        format!("confirmation of order {order} sent to {}", visitor.user),
        vec![attribute("app.order.id", order)],
    );
    if trace.rng.random_bool(0.03) {
        trace.log(
            &consume,
            SeverityNumber::Warn,
            "mail server answered 451, greylisted: will be sent again".to_owned(),
            vec![],
        );
    }
    trace.close(&consume);
    trace.close_into(publish, caller);
}
