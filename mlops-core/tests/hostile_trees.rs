//! Model files that are cyclic, contradict themselves, or mean to exhaust the reader.

use mlops_core::Model;
use mlops_core::arrow::array::{Float64Array, RecordBatch, StringArray};
use mlops_core::batch;
use mlops_core::model::trees::{catboost, lightgbm, onnx, sklearn, xgboost};

/// A file of one tree of three nodes, some text of it in other words.
fn xgboost_with(from: &str, to: &str) -> String {
    let file = r#"{"learner":{"feature_names":["a"],"feature_types":["float"],
        "learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"1","num_target":"1"},
        "objective":{"name":"reg:squarederror"},
        "gradient_booster":{"name":"gbtree","model":{"tree_info":[0],"trees":[{
            "left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],
            "split_conditions":[30.0,1.5,7.0],"default_left":[1,0,0],"sum_hessian":[9.0,4.0,5.0]
        }]}}},"version":[3,2,0]}"#;
    assert!(file.contains(from), "`{from}` is in the file");
    file.replacen(from, to, 1)
}

fn lightgbm_with(from: &str, to: &str) -> String {
    let file = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\n\
        objective=regression\nfeature_names=a\nfeature_infos=[0:99]\n\nTree=0\nnum_leaves=3\n\
        num_cat=0\nsplit_feature=0 0\nthreshold=30.5 20.5\ndecision_type=2 2\nleft_child=1 -1\n\
        right_child=-3 -2\nleaf_value=1.5 7 9\nleaf_count=4 5 6\ninternal_count=15 9\nis_linear=0\n\
        shrinkage=1\n\nend of trees\n";
    assert!(file.contains(from), "`{from}` is in the file");
    file.replacen(from, to, 1)
}

fn rows() -> RecordBatch {
    batch! { "a" => Float64Array::from(vec![Some(10.0), Some(25.0), Some(40.0), None]) }
        .expect("a batch")
}

#[track_caller]
fn says(error: &str, words: &[&str]) {
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

#[test]
fn xgboost_files_that_are_none() {
    let model = xgboost::load(xgboost_with("30.0", "30.0").as_bytes()).unwrap();
    model.check(&rows(), &[2.0, 2.0, 7.5, 2.0], 0.0).unwrap();
    for (from, to, words) in [
        ("[1,-1,-1]", "[0,-1,-1]", &["tree 0", "node 0", "a child of two"][..]),
        ("[2,-1,-1]", "[1,-1,-1]", &["tree 0", "node 1", "a child of two"]),
        ("[2,-1,-1]", "[9,-1,-1]", &["tree 0", "node 9", "one of 3 nodes"]),
        ("[2,-1,-1]", "[-7,-1,-1]", &["tree 0", "node -7"]),
        ("[2,-1,-1]", "[2,-1]", &["right_children of tree 0", "3 items"]),
        ("30.0", "NaN", &["tree 0", "node 0", "threshold"]),
        ("1.5", "Infinity", &["tree 0", "node 1", "a finite value"]),
        ("9.0", "-9.0", &["tree 0", "cover"]),
        ("9.0", "NaN", &["tree 0", "cover"]),
        ("[0,0,0]", "[5,0,0]", &["tree 0", "node 0", "one of 1 features"]),
        ("[0,0,0]", "[-5,0,0]", &["tree 0", "node 0", "a feature"]),
        ("\"tree_info\":[0]", "\"tree_info\":[3]", &["tree 0", "output"]),
        ("\"tree_info\":[0]", "\"tree_info\":[]", &["tree_info", "1 items"]),
        ("\"num_class\":\"0\"", "\"num_class\":\"99999999\"", &["classes or targets", "65536"]),
        ("\"num_feature\":\"1\"", "\"num_feature\":\"2000000000\"", &["1048576 features"]),
        ("\"num_feature\":\"1\"", "\"num_feature\":\"-4\"", &["features"]),
        ("5E-1", "[5E-1,1]", &["base score"]),
        ("5E-1", "NaN", &["byte", "a base score"]),
        ("reg:squarederror", "my:objective", &["an objective", "my:objective"]),
        ("\"gbtree\"", "\"dart\"", &["weights of DART trees"]),
        ("[30.0,", "[30.0 ", &["XGBoost model, byte", "`,`"]),
        ("[\"a\"]", "[\"a\",\"b\"]", &["1 feature names"]),
        ("[\"a\"]", "[\"\\ud800\"]", &["byte", "a string"]),
        ("\"model\":{", "\"model\":{\"gbtree_model_param\":{\"num_trees\":\"2\"},", &["2 trees"]),
        (
            "\"split_indices\"",
            "\"tree_param\":{\"num_nodes\":\"5\"},\"split_indices\"",
            &["5 nodes"],
        ),
        ("\"version\"", "\"default\"", &[][..]),
    ] {
        match xgboost::load(xgboost_with(from, to).as_bytes()) {
            Ok(_) => assert!(words.is_empty(), "{from} -> {to} was read"),
            Err(error) => says(&error.to_string(), words),
        }
    }
    let split_type = "\"split_type\":[1,0,0],\"left_children\"";
    let error = xgboost::load(xgboost_with("\"left_children\"", split_type).as_bytes());
    says(&error.unwrap_err().to_string(), &["node 0", "categories"]);
    let huge = "\"split_type\":[1,0,0],\"categories\":[1],\"categories_nodes\":[0],\
        \"categories_segments\":[0],\"categories_sizes\":[2000000000],\"left_children\"";
    let error = xgboost::load(xgboost_with("\"left_children\"", huge).as_bytes());
    says(&error.unwrap_err().to_string(), &["categories of tree 0"]);
    for bytes in [&b""[..], b"{", b"{}", b"{L", b"[]", b"null", b"\xff\xfe", b"{\"learner\":7}"] {
        assert!(xgboost::load(bytes).is_err());
        assert!(xgboost::load_linear(bytes).is_err());
    }
}

#[test]
fn lightgbm_files_that_are_none() {
    let model = lightgbm::load(lightgbm_with("30.5", "30.5").as_bytes()).unwrap();
    model.check(&rows(), &[1.5, 7.0, 9.0, 1.5], 0.0).unwrap();
    for (from, to, words) in [
        ("left_child=1 -1", "left_child=0 -1", &["tree 0", "node 0", "a child of two"][..]),
        ("left_child=1 -1", "left_child=-1 -1", &["tree 0", "5 nodes", "found 3"]),
        ("left_child=1 -1", "left_child=2 -1", &["tree 0", "node 2"]),
        ("left_child=1 -1", "left_child=-9 -1", &["tree 0", "node -9"]),
        ("left_child=1 -1", "left_child=1 x", &["byte", "numbers for `left_child`", "x"]),
        ("left_child=1 -1", "left_child=1", &["2 numbers for `left_child`"]),
        ("num_leaves=3", "num_leaves=99999999999", &["99999999999 numbers for `leaf_value`"]),
        ("num_leaves=3", "num_leaves=0", &["for `leaf_value`"]),
        ("threshold=30.5", "threshold=nan", &["tree 0", "node 0", "threshold"]),
        ("decision_type=2", "decision_type=14", &["node 0", "a decision type"]),
        ("decision_type=2", "decision_type=1", &["node 0", "a set of categories"]),
        ("leaf_value=1.5", "leaf_value=inf", &["tree 0", "a finite value"]),
        ("split_feature=0", "split_feature=1", &["one of 1 features"]),
        ("is_linear=0", "is_linear=1", &["linear tree"]),
        ("objective=regression", "objective=unheard", &["an objective of LightGBM"]),
        ("Tree=0", "Tree=4", &["tree 0", "4"]),
        ("end of trees", "end", &["`key=value`"]),
        ("feature_names=a", "feature_names=a b", &["1 feature names"]),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=99999999", &["at most 65536 outputs"]),
        ("max_feature_idx=0", "max_feature_idx=18446744073709551615", &["feature names"]),
        ("tree\n", "trees\n", &["byte 0", "the first line"]),
    ] {
        let error = lightgbm::load(lightgbm_with(from, to).as_bytes()).unwrap_err().to_string();
        says(&error, words);
    }
}

#[test]
fn deep_files_take_no_stack() {
    // A chain of 1,000 splits is a tree, one of 100,000 is refused.
    let chain = |depth: usize| {
        let n = 2 * depth + 1;
        let list = |of: &dyn Fn(usize) -> String| (0..n).map(of).collect::<Vec<_>>().join(",");
        let is_leaf = |i: usize| i % 2 == 1 || i == n - 1;
        let left = list(&|i| if is_leaf(i) { "-1".into() } else { (i + 1).to_string() });
        let right = list(&|i| if is_leaf(i) { "-1".into() } else { (i + 2).to_string() });
        let conditions = list(&|i| (i / 2).to_string());
        let zeros = list(&|_| "0".into());
        let ones = list(&|_| "1".into());
        xgboost_with("[1,-1,-1]", &format!("[{left}]"))
            .replace("[2,-1,-1]", &format!("[{right}]"))
            .replace("[30.0,1.5,7.0]", &format!("[{conditions}]"))
            .replace("[1,0,0]", &format!("[{zeros}]"))
            .replace("[9.0,4.0,5.0]", &format!("[{ones}]"))
            .replace("[0,0,0]", &format!("[{zeros}]"))
    };
    let model = xgboost::load(chain(1000).as_bytes()).unwrap();
    assert_eq!(model.depth(), 1000);
    model.check(&rows(), &[11.5, 26.5, 41.5, 1000.5], 0.0).unwrap();
    says(&xgboost::load(chain(100_000).as_bytes()).unwrap_err().to_string(), &["depth of at most"]);

    let deep = 200_000;
    let nested = "[".repeat(deep) + &"]".repeat(deep);
    let ignored = xgboost_with("\"version\":[3,2,0]", &format!("\"more\":{nested}"));
    assert!(xgboost::load(ignored.as_bytes()).is_ok());
    let nested = "{\"a\":".repeat(deep) + "1" + &"}".repeat(deep);
    let ignored = xgboost_with("\"version\":[3,2,0]", &format!("\"more\":{nested}"));
    assert!(xgboost::load(ignored.as_bytes()).is_ok());
    let mut binary = b"{L\x00\x00\x00\x00\x00\x00\x00\x04more".to_vec();
    binary.extend(std::iter::repeat_n(b'[', deep));
    says(&xgboost::load(&binary).unwrap_err().to_string(), &["byte 200014", "the end"]);
    let split = r#"{"split_feature":0,"threshold":1,"decision_type":"<=","missing_type":"None","right_child":{"leaf_value":1,"leaf_count":1},"left_child":"#;
    let dump = format!(
        r#"{{"num_tree_per_iteration":1,"max_feature_idx":0,"feature_names":["a"],"tree_info":[{{"tree_structure":{}{{"leaf_value":2,"leaf_count":1}}{}}}]}}"#,
        split.repeat(100_000),
        "}".repeat(100_000),
    );
    says(&lightgbm::load(dump.as_bytes()).unwrap_err().to_string(), &["depth of at most"]);
}

#[test]
fn counts_that_lie_allocate_nothing() {
    // Typed arrays of 2^60 items, of items without bytes, and of negative lengths.
    for tail in [
        &b"[$d#L\x10\x00\x00\x00\x00\x00\x00\x00"[..],
        b"[$T#L\x10\x00\x00\x00\x00\x00\x00\x00",
        b"[#L\xff\xff\xff\xff\xff\xff\xff\xff",
        b"[$S",
        b"SL\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"{#L\x10\x00\x00\x00\x00\x00\x00\x00",
    ] {
        let mut bytes = b"{L\x00\x00\x00\x00\x00\x00\x00\x04more".to_vec();
        bytes.extend_from_slice(tail);
        says(&xgboost::load(&bytes).unwrap_err().to_string(), &["XGBoost model, byte"]);
    }
    let depth = vec![r#"{"border":1,"float_feature_index":0,"split_type":"FloatFeature"}"#; 60];
    let file = format!(
        r#"{{"features_info":{{"float_features":[{{"feature_index":0}}]}},"scale_and_bias":[1,[0]],
            "model_info":{{"params":{{"loss_function":{{"type":"RMSE"}}}}}},
            "oblivious_trees":[{{"leaf_values":[1,2],"splits":[{}]}}]}}"#,
        depth.join(",")
    );
    says(&catboost::load(file.as_bytes()).unwrap_err().to_string(), &["tree 0", "2^60"]);
    for bytes in [&b""[..], b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x08\x07", b"\x3a\x00"] {
        says(&onnx::load(bytes).unwrap_err().to_string(), &["ONNX model"]);
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    for text in ["", "{}", "[1]", "{\"trees\":[{}]}"] {
        assert!(catboost::load(text.as_bytes()).is_err(), "{text}");
        assert!(sklearn::load(text.as_bytes()).is_err(), "{text}");
    }
    let trees = catboost::load(br#"{"trees":[{}]}"#).unwrap_err().to_string();
    says(&trees, &["oblivious"]);
    let categories = catboost::load(br#"{"features_info":{"categorical_features":[{}]}}"#);
    says(&categories.unwrap_err().to_string(), &["categorical features"]);
    let binary = xgboost::load(b"binf\x00").unwrap_err().to_string();
    says(&binary, &["old binary format"]);
}

#[test]
fn columns_may_come_in_any_order_and_must_be_there() {
    let model = xgboost::load(xgboost_with("30.0", "30.0").as_bytes()).unwrap();
    let other = batch! { "b" => Float64Array::from(vec![1.0]) }.unwrap();
    says(&model.predict(&other).unwrap_err().to_string(), &["column `a` is not there"]);
    let text = batch! { "a" => StringArray::from(vec!["1"]) }.unwrap();
    says(&model.predict(&text).unwrap_err().to_string(), &["column `a`", "Utf8"]);
    assert_eq!(model.predict(&rows().slice(0, 0)).unwrap().len(), 0);
}
